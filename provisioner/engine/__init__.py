"""Runs Pulumi programs through the Automation API: preview, up, refresh, destroy, locks, events, fleets.

The program is an argument. Nothing here knows what a cooperative consists of.
"""

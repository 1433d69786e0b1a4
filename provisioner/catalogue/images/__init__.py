"""The solutions' images: defined beside their chart, built from Debian packages, written as OCI layouts, pushed.

An image is the files of its packages and its own files, nothing else: no installation script runs, so building
needs neither root nor a container, and the same packages always give the same digest.
"""

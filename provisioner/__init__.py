"""The library under the command line: all that the CLI does is callable from here and returns values.

Nothing here prints, prompts, or reads the command line.
"""

"""Fuzzing: damaged and hostile images, sources and run folders, by the thousand, against what SECURITY.md promises.

``make fuzz`` runs it; docs/fuzzing.md says how, and what counts as a failure.
"""

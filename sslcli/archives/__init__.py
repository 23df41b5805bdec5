"""Reads files, and pieces of large ones: tar files, and copies of remote files."""

"""The thin Python layer of Throughline: choosing a workspace, checking it, running the build."""

__version__ = "0.1.0"

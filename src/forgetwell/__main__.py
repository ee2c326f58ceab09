"""The command line as ``python -m forgetwell``, which launchers of several processes start."""

from forgetwell.cli import main

main()

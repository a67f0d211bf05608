"""The subcommands of `sentiment`, one file or folder each."""

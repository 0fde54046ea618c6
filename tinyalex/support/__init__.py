"""What every part of the package stands on: errors, files, arrays from files, the command line."""

"""What every part of the package stands on: errors, files and what is
in them, texts and streams, the command line."""

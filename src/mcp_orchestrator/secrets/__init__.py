"""Where secrets come from: environment variables, files only their owner may read, the desktop's keyring."""

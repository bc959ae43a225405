"""Where the central server meets the network."""

"""The repository itself: its make targets, its checks, how its tests are built."""

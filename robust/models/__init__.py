"""The nets, their training, and the classifiers that are guarded."""

"""Measurements that print ratios; commands, not tests."""

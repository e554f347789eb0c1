"""From scores to a refusal: thresholds, and the trade they make."""

"""Parts that operators and sensors share: waits, failures, tries, stored tickets, rendered fields."""

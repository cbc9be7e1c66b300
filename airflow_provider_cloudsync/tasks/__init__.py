"""Parts that operators and sensors share."""

"""Korean and English terms that mean the same: read, cleaned, merged, split into training and test, looked up."""

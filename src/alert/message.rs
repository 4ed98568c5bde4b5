//! Pure: figures in words that a person acts on.

//! Pure: alerts and observations in, alerts and what is to be told out.

//! Formats of tracepoints as tracefs prints them.

//! An annotated tree of any envelope that can be read, authentic or not, for tools that show it.

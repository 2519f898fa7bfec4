//! preview-core

//! The workflow of `preview-promote`.

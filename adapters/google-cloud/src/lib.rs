//! adapter-google-cloud

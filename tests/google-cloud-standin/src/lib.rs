//! google-cloud-standin

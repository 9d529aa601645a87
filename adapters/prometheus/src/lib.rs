//! adapter-prometheus

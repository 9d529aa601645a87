//! adapter-kube

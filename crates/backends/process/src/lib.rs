//! The backend that runs steps as host processes under the shim

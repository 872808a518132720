//! The backend that runs steps in containers through the Docker Engine API, Podman's included

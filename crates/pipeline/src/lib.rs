//! Pipeline file to checked pipeline to jobs

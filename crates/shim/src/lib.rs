//! The small program that owns host steps' pipes and exit statuses, and the protocol it speaks

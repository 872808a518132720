//! Append-only synced records that survive a torn tail, and who owns them

//! A job's files as trees and tar streams: ignore rules, copies, safe unpacking

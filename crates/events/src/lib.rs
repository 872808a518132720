//! Bus, sinks, events, their wire form, the durable event log and its subscriptions

//! Metrics of syncs.

crate::telemetry::instruments! {
    /// Syncs and their results.
    pub(super) struct SyncMetrics {
        running: IntGauge = "flowgent_exporter_sync_running", "1 while a sync runs, else 0.";
        last_start_timestamp: Gauge = "flowgent_exporter_sync_last_start_timestamp_seconds",
            "When the last sync started.";
        last_end_timestamp: Gauge = "flowgent_exporter_sync_last_end_timestamp_seconds",
            "When the last sync ended.";
        last_complete_timestamp: Gauge = "flowgent_exporter_sync_last_complete_timestamp_seconds",
            "When the last complete sync ended.";
        last_duration: Gauge = "flowgent_exporter_sync_last_duration_seconds",
            "How long the last sync took.";
        next_timestamp: Gauge = "flowgent_exporter_sync_next_timestamp_seconds",
            "When the next sync is due.";
        syncs: IntCounterVec = "flowgent_exporter_syncs_total", "Syncs by outcome.", ["outcome"];
        windows_planned: IntCounter = "flowgent_exporter_windows_planned_total",
            "Windows of days planned for fetching.";
        windows_left: IntGauge = "flowgent_exporter_windows_left",
            "Windows of the current or last sync not fetched yet.";
        last_problems: IntGaugeVec = "flowgent_exporter_sync_last_problems",
            "Agents with a problem in the last sync, by its kind; 1 for a problem of the whole account. Absent until a sync has ended.",
            ["account", "kind"];
        unlisted_agents: IntGaugeVec = "flowgent_exporter_unlisted_agents",
            "Agents that are no longer listed; they are polled for three days and leave if still not listed then.",
            ["account"];
        excess_agents: IntGaugeVec = "flowgent_exporter_excess_agents",
            "Agents that FlowGent lists beyond max_discovered; they are not polled.",
            ["account"];
        partial_listing: IntGaugeVec = "flowgent_exporter_partial_listing",
            "1 if FlowGent's last list of agents was marked incomplete, else 0.", ["account"];
    }
}

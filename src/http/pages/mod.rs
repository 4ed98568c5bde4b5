//! The pages that people see.

/// The landing page, with a link to everything that there is to see.
pub(super) fn landing(telemetry_path: &str) -> String {
    let telemetry_path = escaped(telemetry_path);
    let version = env!("CARGO_PKG_VERSION");
    format!(
        r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>FlowGent Exporter</title>
</head>
<body>
<h1>FlowGent Exporter</h1>
<p>Usage of AI agents on FlowGent for Prometheus. Version {version}.</p>
<ul>
<li><a href="{telemetry_path}">Metrics</a></li>
<li><a href="/-/healthy">Healthy</a>: whether it runs</li>
<li><a href="/-/ready">Ready</a>: whether the metrics are complete</li>
</ul>
</body>
</html>
"#
    )
}

/// `text` as it may stand in HTML, in attributes too.
fn escaped(text: &str) -> String {
    text.chars().fold(String::new(), |mut out, char| {
        match char {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(char),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_landing_page_links_to_the_metrics_whatever_their_path() {
        assert!(landing("/metrics").contains("<a href=\"/metrics\">"));
        assert!(landing("/a&\"<b>'").contains("<a href=\"/a&amp;&quot;&lt;b&gt;&#39;\">"));
    }
}

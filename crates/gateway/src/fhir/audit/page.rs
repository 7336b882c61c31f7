//! The accounting of disclosures as a page to read and to print.

use contracts::disclosure::Line;
use maud::{DOCTYPE, Markup, html};
use node::custody::audit::disclosed::moment;

use super::disclosures::{Report, items, range};

const STYLE: &str = "body{font:15px/1.45 system-ui,sans-serif;margin:2.5rem auto;max-width:62rem;padding:0 1.5rem;color:#1a1a1a}\
h1{font-size:1.45rem;margin:0 0 .3rem}p{margin:.3rem 0}.about{color:#444}\
table{border-collapse:collapse;width:100%;margin-top:1.4rem}\
th,td{text-align:left;vertical-align:top;padding:.5rem .7rem .5rem 0;border-bottom:1px solid #ccc}\
th{font-size:.85rem;color:#444;border-bottom:2px solid #888}.when{white-space:nowrap}\
.item{font:12px/1.4 ui-monospace,monospace;color:#444;overflow-wrap:anywhere}\
footer{margin-top:1.8rem;font-size:.85rem;color:#444}\
@media print{body{margin:0;max-width:none;padding:0;font-size:11pt}thead{display:table-header-group}tr{break-inside:avoid}}";

pub(super) fn page(report: &Report) -> String {
    let accounting = &report.accounting;
    let (ends, count) = range(report);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (accounting.regime.title()) }
                style { (maud::PreEscaped(STYLE)) }
            }
            body {
                h1 { (accounting.regime.title()) }
                p.about { "Patient/" (report.patient) " at " (report.member) }
                p.about {
                    "Made on " (day(accounting.made_at)) ". "
                    @if accounting.since > 0 { "It reaches back to " (day(accounting.since)) ". " }
                    @if let Some(due) = report.due { "It is owed until " (day(due)) ". " }
                    @if report.is_free { "The first in twelve months is free." }
                }
                @if accounting.lines.is_empty() {
                    p { "There is no disclosure that this report counts." }
                } @else {
                    table {
                        thead { tr {
                            th { "Date" } th { "Recipient" } th { "What" } th { "Purpose" } th { "Item of the ledger" }
                        } }
                        tbody {
                            @for line in &accounting.lines {
                                (row(report, line))
                            }
                        }
                    }
                }
                footer {
                    p {
                        "Disclosures that count in this report: " (accounting.counted)
                        "; of the same time that do not: " (accounting.left_out) "."
                    }
                    @if let Some((first, last)) = ends {
                        p {
                            "All reports of this patient are made of the same " (count)
                            " items of the ledger, in the statements " (first) " to " (last) " of its log."
                        }
                    }
                }
            }
        }
    };
    page.into_string()
}

fn row(report: &Report, line: &Line) -> Markup {
    html! {
        tr {
            td.when {
                (day(line.first.at))
                @if line.count > 1 {
                    br; (line.count) " times" br; "last " (day(line.last))
                }
            }
            td {
                (line.first.recipient)
                @if let Some(address) = &line.first.address { br; (address) }
            }
            td { (line.first.description) }
            td { (line.first.purpose) br; (line.first.class.code()) }
            td.item {
                @for (position, tag) in items(report, line).take(3) {
                    (position) " " (tag) br;
                }
                @if items(report, line).next().is_none() {
                    "entry " (line.first.number) " of the audit log"
                }
                @if line.count > 3 { "and more: see the list as data" }
            }
        }
    }
}

fn day(at: u64) -> String {
    moment(at).chars().take(10).collect()
}

//! `report.html`: one file with everything in it, made to be read, printed and mailed.

use super::panel::Panel;
use super::plot::{Figure, font_css};
use super::read::Study;
use super::{judged, sections, success, terminal};

/// What a page is made of besides the study.
pub struct Page<'a> {
    /// The study.
    pub study: &'a Study,
    /// Its grids.
    pub panels: &'a [Panel],
    /// The verdict, sentence by sentence.
    pub verdict: &'a [String],
    /// The figures.
    pub figures: &'a [Figure],
}

/// Makes a text safe inside an element or a quoted attribute.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(c),
        }
    }
    out
}

/// A table: texts are escaped; the columns after the first `words` are numbers, set to the right.
pub fn table(words: usize, header: &[String], rows: &[Vec<String>]) -> String {
    let cells = |tag: &str, row: &[String]| -> String {
        let class = |i: usize| if i < words { " class=\"word\"" } else { "" };
        row.iter().enumerate().map(|(i, cell)| format!("<{tag}{}>{}</{tag}>", class(i), escape(cell))).collect()
    };
    let body: String = rows.iter().map(|row| format!("<tr>{}</tr>\n", cells("td", row))).collect();
    format!(
        "<div class=\"wide\"><table>\n<thead><tr>{}</tr></thead>\n<tbody>\n{body}</tbody>\n</table></div>\n",
        cells("th", header)
    )
}

/// The whole page.
pub fn page(page: &Page) -> String {
    let plan = &page.study.plan;
    let name = escape(&plan.name);
    let question = if plan.question.is_empty() { name.clone() } else { escape(&plan.question) };
    let verdict: String = page.verdict.iter().map(|s| format!("<p>{}</p>\n", escape(s))).collect();
    let notes: String = page.study.notes.iter().map(|s| format!("<p class=\"note\">{}</p>\n", escape(s))).collect();
    let figures: String = page
        .figures
        .iter()
        .map(|f| format!("<figure>\n{}\n<figcaption>{}</figcaption>\n</figure>\n", f.svg.trim(), escape(&f.caption)))
        .collect();
    let sections = [
        ("Results", results(page)),
        ("Figures", figures),
        ("Robustness", judged::robustness(page.study, page.panels)),
        ("Comparisons", judged::comparisons(page.study, page.panels)),
        ("Spread over clients", sections::clients(page.study, page.panels)),
        ("By what a client lacks", judged::lacks(page.study, page.panels)),
        ("Attack success", success::section(page.study, page.panels)),
        ("Communication", sections::communication(page.study, page.panels)),
        ("Privacy", sections::privacy(page.study)),
        ("Corruption asked for and realised", sections::realised(page.study)),
        ("What was run", sections::runs(page.study)),
        ("How to reproduce it", sections::reproduce(page.study)),
    ];
    let body: String = sections
        .iter()
        .filter(|(_, text)| !text.is_empty())
        .map(|(title, text)| format!("<section>\n<h2>{title}</h2>\n{text}</section>\n"))
        .collect();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{name} · fedrobust</title>\n\
         <style>{}{CSS}</style>\n</head>\n<body>\n<main>\n<p class=\"kicker\">fedrobust · {name}</p>\n<h1>{question}</h1>\n\
         <div class=\"verdict\">\n{verdict}</div>\n{notes}{body}</main>\n</body>\n</html>\n",
        font_css()
    )
}

/// The table of strategies by conditions.
fn results(page: &Page) -> String {
    let (measure, legend) = (escape(&page.study.measure()), terminal::legend(page.study));
    let mut out = format!("<p>{measure}. <b>Bold</b>: the best of its column, yardsticks aside{legend}.</p>\n");
    for panel in page.panels {
        let header: String = panel.columns.iter().map(|c| format!("<th>{}</th>", escape(c))).collect();
        let rows: String = panel
            .rows
            .iter()
            .zip(terminal::cells(page.study, panel))
            .map(|(row, cells)| {
                let cell = |(text, best): &(String, bool)| match best {
                    true => format!("<td><b>{text}</b></td>"),
                    false => format!("<td>{text}</td>"),
                };
                let cells: String = cells.iter().map(cell).collect();
                format!("<tr><td>{}</td>{cells}</tr>\n", escape(&row.strategy))
            })
            .collect();
        out.push_str(&format!(
            "<div class=\"wide\"><table>\n<thead><tr><th>{}</th>{header}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table></div>\n",
            escape(&panel.title)
        ));
    }
    out
}

const CSS: &str = "
:root{color-scheme:light dark;--paper:#fff;--ink:#1f2328;--soft:#59636e;--rule:#d9dee3;--tint:#f3f6f9;--mark:#0072b2}
@media (prefers-color-scheme:dark){:root{--paper:#14181d;--ink:#e6e9ec;--soft:#9aa5b1;--rule:#343c45;--tint:#1d232a;--mark:#56b4e9}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.55 \"Open Sans\",\"Segoe UI\",Helvetica,Arial,sans-serif}
main{max-width:58rem;margin:0 auto;padding:2.5rem 1.25rem 4rem}
h1{font-size:1.75rem;line-height:1.3;margin:.2rem 0 1.4rem;text-wrap:balance}
h3{font-size:1rem;margin:1.4rem 0 .3rem}
h2{font-size:1.2rem;margin:2.6rem 0 .7rem;padding-bottom:.3rem;border-bottom:1px solid var(--rule)}
.kicker{color:var(--soft);margin:0;font-size:.9rem}
.verdict{background:var(--tint);border-left:4px solid var(--mark);padding:.7rem 1.1rem;border-radius:0 6px 6px 0}
.verdict p{margin:.35rem 0}
.note{color:var(--soft);font-size:.9rem}
.wide{overflow-x:auto;margin:.9rem 0 1.3rem}
table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums;min-width:24rem}
th,td{padding:.32rem .8rem;text-align:right;white-space:nowrap}
th:first-child,td:first-child{padding-left:.2rem}
th:first-child,td:first-child,.word{text-align:left}
td.word{white-space:normal}
thead th{border-bottom:1.5px solid var(--soft);font-weight:700}
tbody tr{border-bottom:1px solid var(--rule)}
figure{margin:1.6rem 0 2.2rem}
figure svg{display:block;width:100%;max-width:47rem;height:auto;background:#fff;border-radius:6px;margin:0 auto}
figcaption{color:var(--soft);font-size:.9rem;max-width:47rem;margin:.6rem auto 0}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.25rem 1.2rem;font-size:.95rem}
dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
pre,code{font-family:ui-monospace,Menlo,Consolas,monospace;font-size:.85rem}
pre{background:var(--tint);padding:.8rem 1rem;border-radius:6px;overflow-x:auto}
summary{cursor:pointer}
@media print{main{max-width:none;padding:0}body{font-size:11pt}figure,table,.verdict{break-inside:avoid}h2{break-after:avoid}
.wide{overflow:visible}pre{white-space:pre-wrap}}
";

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(cells: [&str; 2]) -> Vec<String> {
        cells.map(String::from).to_vec()
    }

    #[test]
    fn what_comes_from_a_scenario_cannot_become_markup() {
        assert_eq!(escape("<b a=\"1\" c='2'>&"), "&lt;b a=&quot;1&quot; c=&#39;2&#39;&gt;&amp;");
        let html = table(1, &texts(["<x>", "n"]), &[texts(["</td>", "1"])]);
        assert!(html.contains("<th class=\"word\">&lt;x&gt;</th><th>n</th>"), "{html}");
        assert!(html.contains("<td class=\"word\">&lt;/td&gt;</td><td>1</td>"), "{html}");
    }
}

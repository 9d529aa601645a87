//! A plan for people: at most 80 columns, readable without colour.

use std::collections::{BTreeMap, BTreeSet};

use super::money::{amount, grouped, hourly, hourly_signed, monthly};
use super::view::{NodeVerdictView, PlanView, PricesView, SizeView};
use crate::exit::Problem;
use crate::output::{Streams, wrap};
use journal_schema::units::{Bytes, MicroUsd, MicroUsdPerHour};

/// How many lines of a kind are shown before the rest is counted.
const SHOWN: usize = 8;
const BAR: usize = 12;
/// How many nodes that waste most are named.
const WASTERS: usize = 3;
/// Places that waste less than this share of it, in percent, are counted and not named.
const WASTER_PERCENT: i64 = 5;

/// How much is shown.
#[derive(Clone, Copy, Debug, Default)]
pub struct Detail {
    /// Every node and pod with its reason.
    pub all: bool,
    /// The plan can be applied by a daemon (it was made by one).
    pub appliable: bool,
}

/// Writes the plan.
pub fn write(view: &PlanView, detail: Detail, streams: &mut Streams) -> Result<(), Problem> {
    let mut lines = Vec::new();
    head(view, &mut lines);
    if view.is_empty() {
        lines.push(no_changes(view));
    } else {
        changes(view, &mut lines);
    }
    kept(view, detail, &mut lines);
    pending(view, &mut lines);
    table(view, &mut lines);
    money(view, &mut lines);
    commitments(view, &mut lines);
    objective(view, &mut lines);
    dispersion(view, &mut lines);
    frontier(view, &mut lines);
    weighted(view, &mut lines);
    relaxations(view, &mut lines);
    if detail.all {
        pods(view, &mut lines);
    }
    foot(view, detail, &mut lines);
    for line in lines {
        streams.line(fit(&line))?;
    }
    Ok(())
}

fn head(view: &PlanView, lines: &mut Vec<String>) {
    lines.push(format!(
        "Cluster {}  {}  at {}",
        shorten(&view.cluster, 32),
        count(view.now.nodes, "node"),
        to_the_second(&view.at)
    ));
    let as_of = to_the_second(&view.prices.as_of);
    lines.push(format!("Prices  {} of {}", view.prices.source, as_of.get(..10).unwrap_or(&as_of)));
    let basis = basis(&view.prices);
    if !basis.is_empty() {
        lines.extend(wrap(&format!("        {}", basis.join(", ")), "        "));
    }
    for warning in &view.warnings {
        lines.extend(wrap(&format!("Note: {warning}"), "      "));
    }
    lines.push(String::new());
}

/// How prices differ from list prices.
fn basis(prices: &PricesView) -> Vec<String> {
    let mut parts = Vec::new();
    if prices.basis == "SustainedUse" {
        parts.push("less sustained-use discounts on demand".to_owned());
    }
    let (disk, interruption) = (micro(&prices.boot_disk_per_hour), micro(&prices.spot_interruption_per_hour));
    if disk.0 > 0 {
        parts.push(format!("{} more for each boot disk", hourly(disk)));
    }
    if interruption.0 > 0 {
        parts.push(format!("{} more for the interruption of spot machines", hourly(interruption)));
    }
    if !prices.commitments.is_empty() {
        parts.push("committed machines are paid for already and in no sum".to_owned());
    }
    parts
}

/// A moment without its fraction of a second.
fn to_the_second(moment: &str) -> String {
    moment.split_once('.').map_or_else(|| moment.to_owned(), |(whole, _)| format!("{whole}Z"))
}

fn no_changes(view: &PlanView) -> String {
    format!(
        "No changes. The cluster costs {}; at least {} is needed (gap {}).",
        hourly(micro(&view.cost_per_hour_now)),
        hourly(micro(&view.lower_bound_per_hour)),
        percent(view.gap)
    )
}

fn changes(view: &PlanView, lines: &mut Vec<String>) {
    lines.push("kinema would do this:   + create   - delete   ~ change   = keep".to_owned());
    lines.push(String::new());
    for add in &view.nodes_to_add {
        let sum = MicroUsdPerHour(add.price.0 * i64::from(add.count));
        lines.push(priced(
            '+',
            &format!("{:>3} x {:<20} {:<9} {}", add.count, add.machine_type, add.capacity_type, add.zone),
            sum,
        ));
    }
    let mut leaving: BTreeMap<(&str, &str), (usize, MicroUsdPerHour, BTreeSet<&str>)> = BTreeMap::new();
    for node in &view.nodes_to_remove {
        let group = leaving.entry((&node.machine_type, node.capacity_type)).or_default();
        group.0 += 1;
        group.1 += node.price;
        group.2.insert(&node.zone);
    }
    for ((machine_type, capacity_type), (count, sum, zones)) in leaving {
        let text = format!("{count:>3} x {machine_type:<20} {capacity_type:<9} {}", zone_list(&zones));
        lines.push(priced('-', &text, MicroUsdPerHour(-sum.0)));
    }
    if !view.moves.is_empty() {
        let mut methods: BTreeMap<&str, usize> = BTreeMap::new();
        for step in &view.moves {
            *methods.entry(step.method).or_default() += 1;
        }
        let workloads: BTreeSet<_> = view.moves.iter().filter_map(|step| step.workload.as_deref()).collect();
        let how: Vec<String> = methods.iter().map(|(method, count)| format!("{count} by {method}")).collect();
        lines.push(format!(
            "  ~ {} of {} move{} ({})",
            count(view.moves.len(), "pod"),
            count(workloads.len(), "workload"),
            if view.waves > 1 { format!(" in {} waves", view.waves) } else { String::new() },
            how.join(", ")
        ));
    }
    if !view.requests.is_empty() {
        lines.push(format!("  ~ {} would change", count(view.requests.len(), "request")));
        for change in view.requests.iter().take(SHOWN) {
            let text = format!(
                "      ~ {} {}  cpu {} -> {}  mem {} -> {}",
                change.workload,
                change.container,
                change.cpu_from,
                change.cpu_to,
                memory_text(&change.memory_from),
                memory_text(&change.memory_to)
            );
            lines.extend(wrap(&text, "          "));
        }
        more(view.requests.len(), lines);
    }
}

/// A node stays for a reason that is about it, or because the cheapest placement needs it.
fn unremarkable(verdict: &NodeVerdictView) -> bool {
    matches!(verdict.reason, "Needed" | "NoCheaperPlacement" | "Added")
}

fn kept(view: &PlanView, detail: Detail, lines: &mut Vec<String>) {
    let kept: Vec<_> = view.verdicts.nodes.iter().filter(|verdict| verdict.action == "Keep").collect();
    if kept.is_empty() {
        return;
    }
    let (plain, remarkable): (Vec<_>, Vec<_>) = kept.iter().partition(|verdict| unremarkable(verdict));
    lines.push(match (remarkable.len(), plain.len()) {
        (0, plain) => format!("  = {} kept as part of the cheapest placement", count(plain, "node")),
        (held, 0) => format!("  = {} held", count(held, "node")),
        (held, plain) => format!("  = {} kept as part of the cheapest placement, {held} held", count(plain, "node")),
    });
    let shown: Vec<_> = if detail.all { kept } else { remarkable.clone() };
    let limit = if detail.all { usize::MAX } else { SHOWN };
    for verdict in shown.iter().take(limit) {
        let price =
            verdict.price_per_hour.as_deref().map(|price| format!("  {}", monthly(micro(price)))).unwrap_or_default();
        let waste = micro(&verdict.waste_per_hour);
        let wastes = if detail.all && waste.0 > 0 { format!(", wastes {}", monthly(waste)) } else { String::new() };
        lines.extend(wrap(
            &format!("      = {}  {}: {}{price}{wastes}", shorten(&verdict.name, 40), verdict.reason, verdict.message),
            "          ",
        ));
    }
    if !detail.all {
        more(remarkable.len(), lines);
    }
}

fn pending(view: &PlanView, lines: &mut Vec<String>) {
    if view.pending_pods.is_empty() {
        return;
    }
    let unplaced = view.pending_pods.iter().filter(|pod| pod.action == "Unplaced").count();
    lines.push(format!("  ! {} pending, {unplaced} of them would fit nowhere", count(view.pending_pods.len(), "pod")));
    for pod in view.pending_pods.iter().take(SHOWN) {
        let outcome = pod
            .to
            .as_ref()
            .map_or_else(|| format!("{}: {}", pod.reason, pod.message), |to| format!("would go to {to}"));
        lines.extend(wrap(&format!("      ! {}/{}  {outcome}", pod.namespace, pod.pod), "          "));
    }
    more(view.pending_pods.len(), lines);
}

fn table(view: &PlanView, lines: &mut Vec<String>) {
    lines.push(String::new());
    lines.push(format!("  {:<13}{:<31} {}", "", "now", "after"));
    let row = |name: &str, now: String, after: String| format!("  {name:<13}{now:<31} {after}").trim_end().to_owned();
    lines.push(row("nodes", view.now.nodes.to_string(), view.after.nodes.to_string()));
    lines.push(row("cpu requests", cpu(&view.now), cpu(&view.after)));
    lines.push(row("mem requests", memory(&view.now), memory(&view.after)));
    let cost = |text: &str| format!("{}  {}", hourly(micro(text)), monthly(micro(text)));
    lines.push(row("cost", cost(&view.cost_per_hour_now), cost(&view.cost_per_hour_after)));
}

fn cpu(size: &SizeView) -> String {
    let cores = |milli: i64| format!("{}.{}", milli / 1000, milli % 1000 / 100);
    let text = format!("{}/{}", cores(size.cpu_requests_milli), cores(size.cpu_allocatable_milli));
    format!("{text:<12} {}", bar(size.cpu_requests_milli, size.cpu_allocatable_milli))
}

fn memory(size: &SizeView) -> String {
    let gib = |bytes: i64| bytes >> 30;
    let text = format!("{}/{}Gi", gib(size.memory_requests_bytes), gib(size.memory_allocatable_bytes));
    format!("{text:<12} {}", bar(size.memory_requests_bytes, size.memory_allocatable_bytes))
}

/// `[######......] 55%`; a share of nothing is not a number.
fn bar(part: i64, whole: i64) -> String {
    if whole <= 0 {
        return format!("[{}]", ".".repeat(BAR));
    }
    let whole = i128::from(whole);
    let part = i128::from(part.max(0));
    let filled = usize::try_from((part * BAR as i128 + whole / 2) / whole).unwrap_or(BAR).min(BAR);
    format!("[{}{}] {}%", "#".repeat(filled), ".".repeat(BAR - filled), part * 100 / whole)
}

fn money(view: &PlanView, lines: &mut Vec<String>) {
    if view.is_empty() {
        let mut proof = Vec::new();
        certificate(view, &mut proof);
        if !proof.is_empty() {
            lines.push(String::new());
            lines.append(&mut proof);
        }
        return;
    }
    lines.push(String::new());
    let saved = micro(&view.savings_per_hour);
    lines.push(format!("  Saves   {}  {}  ({})", hourly(saved), monthly(saved), percent(view.savings)));
    lines.push(format!(
        "  Needs   {} at least, whatever is moved (gap {})",
        hourly(micro(&view.lower_bound_per_hour)),
        percent(view.gap)
    ));
    certificate(view, lines);
    let payback =
        view.payback_minutes.map_or_else(String::new, |minutes| format!(", pays back in {}", minutes_text(minutes)));
    lines.push(format!(
        "  Costs   {} of overlap, {}{payback}",
        amount(MicroUsd(micro(&view.transition_cost).0)),
        count(view.moves.len(), "pod move")
    ));
}

/// What moves buy: a table, where there is a choice.
fn frontier(view: &PlanView, lines: &mut Vec<String>) {
    if view.frontier.len() < 2 {
        return;
    }
    lines.push(String::new());
    lines.push("  What moves buy (placements as searched; movePenalty chooses among them):".to_owned());
    lines.push(format!(
        "    {:>17} {:>13} {:>8} {:>15} {:>13}",
        "pods move", "cost", "saves", "moves per $1/h", "movePenalty"
    ));
    for point in &view.frontier {
        let share = format!("({})", percent(point.move_share));
        let rate = point.moves_per_dollar.map_or_else(String::new, |moves| format!("{moves:.1}"));
        let price = point.from_move_penalty.as_deref().map_or_else(String::new, |from| format!("from {from}"));
        lines.push(format!(
            "  {} {:>7} {share:>9} {:>13} {:>8} {rate:>15} {price:>13}",
            if point.chosen { '*' } else { ' ' },
            grouped(u64::from(point.moves)),
            hourly(micro(&point.cost_per_hour)),
            percent(point.savings),
        ));
    }
    lines.push("  * this plan, rehearsed".to_owned());
}

/// How far machines that are paid for already are used.
fn commitments(view: &PlanView, lines: &mut Vec<String>) {
    if view.is_empty() && !view.prices.commitments.is_empty() {
        lines.push(String::new());
    }
    for own in &view.prices.commitments {
        lines.push(format!(
            "  Paid    {:>3} x {:<20} {:<16} used {} -> {}",
            own.committed,
            own.machine_type,
            own.region,
            own.now.min(own.committed),
            own.after.min(own.committed)
        ));
    }
}

/// What a plan comes to by the measure of its objective, where that is not cost.
fn objective(view: &PlanView, lines: &mut Vec<String>) {
    if view.objective == "Balance" {
        lines.push(String::new());
        lines.push(format!(
            "  Evens   imbalance {:.2} -> {:.2} nodes ({} less), to {}m of CPU per GiB",
            view.balance.entropy_before,
            view.balance.entropy_after,
            percent(view.balance.gain),
            view.balance.pivot_cpu_milli_per_gib
        ));
    }
    if let Some(heat) = &view.heat {
        lines.push(String::new());
        lines.push(format!(
            "  Cools   {} -> {} used above {}, by {:.2} -> {:.2} nodes",
            heat.hot_nodes_before,
            count(heat.hot_nodes_after as usize, "node"),
            percent(heat.limit),
            heat.excess_before,
            heat.excess_after
        ));
    }
}

/// How workloads stand to the limits of availability.
fn dispersion(view: &PlanView, lines: &mut Vec<String>) {
    let Some(told) = &view.dispersion else { return };
    let limits = [(told.max_per_node, "on a node"), (told.max_per_zone, "in a zone")];
    let limits: Vec<String> =
        limits.iter().filter_map(|(most, of)| Some(format!("{} {of}", percent((*most)?)))).collect();
    lines.push(String::new());
    let text = format!(
        "  Spreads {} -> {} of {} above {}, by {} -> {}",
        told.above_before,
        told.above_after,
        count(told.workloads as usize, "workload"),
        limits.join(" and "),
        told.pods_before,
        count(told.pods_after as usize, "pod")
    );
    lines.extend(wrap(&text, "            "));
}

/// The sums that candidates are compared by where other measures than cost have a weight.
fn weighted(view: &PlanView, lines: &mut Vec<String>) {
    let Some(weighted) = &view.weighted else { return };
    let (before, after) = (&weighted.before, &weighted.after);
    let change = |before: &str, after: &str| format!("{} -> {}", hourly(micro(before)), hourly(micro(after)));
    lines.push(String::new());
    lines.push(format!("  Weighs  {}", change(&before.total, &after.total)));
    for (name, before, after) in [
        ("cost", &before.cost, &after.cost),
        ("balance", &before.balance, &after.balance),
        ("node usage", &before.node_usage, &after.node_usage),
        ("availability", &before.availability, &after.availability),
    ] {
        lines.push(format!("            {name:<13} {}", change(before, after)));
    }
}

/// What the bound is made of, and where the plan costs more.
fn certificate(view: &PlanView, lines: &mut Vec<String>) {
    for place in view.binding.chunk_by(|a, b| a.zone == b.zone) {
        let parts: Vec<String> =
            place.iter().map(|binding| format!("{} ({:.0} %)", binding.message, binding.share * 100.0)).collect();
        let text = match place.first().and_then(|binding| binding.zone.as_deref()) {
            None => format!("  Bound   by {}", parts.join(", ")),
            Some(zone) => format!("          in {zone} by {}", parts.join(", ")),
        };
        lines.extend(wrap(&text, "            "));
    }
    let total = micro(&view.waste_per_hour);
    if total.0 > 0 {
        let text = format!("  Wastes  {} above that{}", hourly(total), wasted_where(view));
        lines.extend(wrap(&text, "            "));
    }
}

/// `: $0.0060/h on gke-demo-a, …`, or `, on gke-demo-a` when it is all there: where most of it is.
fn wasted_where(view: &PlanView) -> String {
    let kept = view.verdicts.nodes.iter().map(|node| (micro(&node.waste_per_hour), shorten(&node.name, 40)));
    let added = view.nodes_to_add.iter().map(|add| {
        let some = if add.count == 1 { String::new() } else { format!("{} ", add.count) };
        (micro(&add.waste_per_hour), format!("{some}new {} in {}", add.machine_type, add.zone))
    });
    let mut places: Vec<(MicroUsdPerHour, String)> = kept.chain(added).collect();
    places.push((micro(&view.unused_per_hour), "cheap machines that are not used".to_owned()));
    places.retain(|(waste, _)| waste.0 > 0);
    places.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    if let [(_, only)] = &places[..] {
        return format!(", on {only}");
    }
    let total: i64 = places.iter().map(|(waste, _)| waste.0).sum();
    let told = |(waste, _): &&(MicroUsdPerHour, String)| waste.0 * 100 >= total * WASTER_PERCENT;
    let parts: Vec<String> = places
        .iter()
        .take(WASTERS)
        .filter(told)
        .map(|(waste, place)| format!("{} on {place}", hourly(*waste)))
        .collect();
    let others = match places.len() - parts.len() {
        0 => String::new(),
        1 => ", 1 other".to_owned(),
        others => format!(", {others} others"),
    };
    format!(": {}{others}", parts.join(", "))
}

fn relaxations(view: &PlanView, lines: &mut Vec<String>) {
    if view.relaxations.is_empty() {
        return;
    }
    lines.push(String::new());
    lines.push("  What would save more:".to_owned());
    for relaxation in view.relaxations.iter().take(5) {
        let fix = relaxation.fix.map(|fix| format!(" -> {fix}")).unwrap_or_default();
        lines.extend(wrap(
            &format!(
                "    {} {:>12}  {} on {}: {}{fix}",
                if relaxation.basis == "Measured" { "at least" } else { "   about" },
                monthly(relaxation.saves),
                relaxation.reason,
                count(relaxation.nodes as usize, "node"),
                relaxation.message
            ),
            "                           ",
        ));
    }
}

fn pods(view: &PlanView, lines: &mut Vec<String>) {
    lines.push(String::new());
    lines.push("  Pods:".to_owned());
    for pod in &view.verdicts.pods {
        let to = pod.to.as_deref().map(|to| format!(" -> {to}")).unwrap_or_default();
        lines.extend(wrap(
            &format!("    {}/{}  {}{to}  {}: {}", pod.namespace, pod.pod, pod.action, pod.reason, pod.message),
            "        ",
        ));
    }
}

fn foot(view: &PlanView, detail: Detail, lines: &mut Vec<String>) {
    lines.push(String::new());
    let short = view.digest.get(..12).unwrap_or(&view.digest);
    if view.is_empty() {
        lines.push(format!("Plan: nothing to do.  {short}"));
        return;
    }
    let added: u32 = view.nodes_to_add.iter().map(|add| add.count).sum();
    lines.push(format!(
        "Plan: {} to add, {} to remove, {} to move.  {short}",
        count(added as usize, "node"),
        view.nodes_to_remove.len(),
        count(view.moves.len(), "pod")
    ));
    lines.push(String::new());
    if detail.appliable {
        lines.push(format!("To perform exactly these actions:  kinema apply {short}"));
    } else {
        lines.push("Nothing was changed. To carry it out: kinema run with spec.mode Approve or Auto.".to_owned());
    }
}

fn priced(symbol: char, text: &str, price: MicroUsdPerHour) -> String {
    format!("  {symbol} {text:<58}{:>14}", hourly_signed(price))
}

/// `europe-west3-b,c`: zones of one region share its name.
fn zone_list(zones: &BTreeSet<&str>) -> String {
    let mut text = String::new();
    let mut region = "";
    for zone in zones {
        let (own, letter) = zone.rsplit_once('-').unwrap_or(("", zone));
        if !text.is_empty() {
            text.push(',');
        }
        if own == region && !own.is_empty() {
            text.push_str(letter);
        } else {
            text.push_str(zone);
            region = own;
        }
    }
    text
}

fn count(number: usize, noun: &str) -> String {
    format!("{} {noun}{}", grouped(number as u64), if number == 1 { "" } else { "s" })
}

fn more(number: usize, lines: &mut Vec<String>) {
    if number > SHOWN {
        lines.push(format!("      ... and {} more (--all or -o json)", number - SHOWN));
    }
}

/// A share in percent with one decimal.
fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

fn minutes_text(minutes: i64) -> String {
    match (minutes / 60, minutes % 60) {
        (0, minutes) => format!("{minutes}m"),
        (hours, 0) => format!("{hours}h"),
        (hours, minutes) => format!("{hours}h{minutes:02}m"),
    }
}

/// Memory as the journal writes it, shortened to one decimal of the largest unit.
fn memory_text(text: &str) -> String {
    let Ok(bytes) = text.parse::<i64>() else { return text.to_owned() };
    let tenths = |unit: i64| format!("{}.{}", bytes / unit, bytes % unit * 10 / unit);
    match Bytes(bytes).0 {
        bytes if bytes >= 1 << 30 => format!("{}Gi", tenths(1 << 30)),
        bytes if bytes >= 1 << 20 => format!("{}Mi", tenths(1 << 20)),
        _ => text.to_owned(),
    }
}

/// The exact decimal of the view as micro-dollars: it was written by the same program.
fn micro(text: &str) -> MicroUsdPerHour {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let whole: i64 = whole.parse().unwrap_or(0);
    let fraction: i64 = format!("{fraction:0<6}").parse().unwrap_or(0);
    MicroUsdPerHour(sign * (whole * 1_000_000 + fraction))
}

fn shorten(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(most - 1).collect();
    short.push('…');
    short
}

fn fit(line: &str) -> String {
    line.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::COLUMNS;

    #[test]
    fn bars_are_all_of_one_width() {
        assert_eq!(bar(26_000, 47_000), "[#######.....] 55%");
        assert_eq!(bar(0, 10), "[............] 0%");
        assert_eq!(bar(5, 0), "[............]");
        assert_eq!(bar(50, 40), "[############] 125%");
    }

    #[test]
    fn long_lines_are_broken_at_spaces() {
        let line = format!("      = node  {}", "word ".repeat(40));
        for part in wrap(&line, "          ") {
            assert!(part.chars().count() <= COLUMNS, "{part}");
        }
    }

    #[test]
    fn zones_of_a_region_are_written_once() {
        assert_eq!(zone_list(&BTreeSet::from(["europe-west3-b", "europe-west3-c"])), "europe-west3-b,c");
        assert_eq!(zone_list(&BTreeSet::from(["a-1", "b-1"])), "a-1,b-1");
        assert_eq!(zone_list(&BTreeSet::from([""])), "");
    }

    #[test]
    fn the_exact_decimal_is_read_back() {
        for value in [0, -1, 134_023, -5_000_000, 1_608_000] {
            assert_eq!(micro(&MicroUsdPerHour(value).to_string()).0, value);
        }
    }
}

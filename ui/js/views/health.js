/** How the service is, in plain words, and where more is to be found. */

import { API, PROMETHEUS, Problem, ask, listed } from "../api.js";
import { h, replace } from "../dom.js";
import * as format from "../format.js";
import { lookOf, wordOf } from "../state.js";

const ALERTS_EVERY_MS = 10_000;

const OVERALL = /** @type {Record<string, string>} */ ({
  healthy: "Predictions are answered, and everything behind them works.",
  degraded: "Predictions are answered, but not everything works as it should:",
  unhealthy: "Predictions are not answered now:",
  unreachable: "Nobody answers. The service is down, or cannot be reached from here.",
});
const PARTS = /** @type {Record<string, string>} */ ({
  model: "Models",
  redis: "Redis, the cache that replicas share",
  reload: "Reloads, which every replica should follow",
});

/** @param {HTMLElement} root @param {import("../app.js").App} app */
export function healthView(root, app) {
  const overall = h("section", { class: "card state", "aria-label": "State" });
  const replicas = h("p", { class: "muted" });
  const alerts = h("section", { class: "card alerts", "aria-label": "Alerts", hidden: PROMETHEUS === null });
  root.append(h("h1", {}, "Health"), overall, alerts, links());
  app.health.subscribe(({ value, problem }) => {
    const word = wordOf({ value, problem });
    const parts = word === "unreachable" || !value ? [] : value.dependencies.map(describePart);
    const told =
      !value || problem
        ? null
        : h(
            "p",
            { class: "muted" },
            `Version ${value.version}, up for ${format.uptime(value.uptime)}: the replica that answered.`,
          );
    replace(
      overall,
      word ? headline(word) : h("p", { class: "muted" }, "Asking …"),
      parts.length ? h("dl", {}, ...parts.flat()) : null,
      told,
      replicas,
    );
  });
  app.feed.subscribe(({ replicas: known, status }) => {
    const up = known.filter((replica) => replica.up).length;
    replace(replicas, status === "live" && known.length ? `Replicas that answer: ${up} of ${known.length}.` : "");
  });
  /** @type {ReturnType<typeof setInterval> | undefined} */
  let timer;
  const showAlerts = async () => replace(alerts, h("h2", {}, "Alerts"), ...(await firing()));
  return {
    shown() {
      if (PROMETHEUS === null) return;
      void showAlerts();
      timer = setInterval(showAlerts, ALERTS_EVERY_MS);
    },
    hidden: () => clearInterval(timer),
  };
}

/** @param {string} word */
function headline(word) {
  const { look, sign } = lookOf(word);
  return h("div", { class: "row" }, h("span", { class: `pill ${look}` }, `${sign} ${word}`), h("p", {}, OVERALL[word]));
}

/** @param {{name: string, status: string, detail: string}} part */
function describePart({ name, status, detail }) {
  return [
    h("dt", {}, PARTS[name] ?? name),
    h("dd", {}, status === "healthy" ? detail : h("strong", {}, `${status}: ${detail}`)),
  ];
}

/** Alerts that fire, as Prometheus tells. */
async function firing() {
  const query = encodeURIComponent('ALERTS{alertstate="firing"}');
  let found;
  try {
    found = listed((await ask("GET", `${PROMETHEUS}api/v1/query?query=${query}`)).body?.data?.result);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    return [h("p", { class: "muted" }, "Prometheus does not answer, so alerts are not known.")];
  }
  if (!found.length) return [h("p", {}, "None fires.")];
  const rows = found.map((/** @type {{metric: Record<string, string>}} */ { metric }) =>
    h("li", {}, h("strong", {}, metric.alertname), ` (${metric.severity}) ${metric.instance ?? ""}`),
  );
  return [
    h("ul", {}, ...rows),
    h("p", { class: "muted" }, "What to do stands in ops/runbook.md, under the alert’s name."),
  ];
}

function links() {
  const all = [
    [`${API}docs`, "API documentation", "every route, to be tried (Swagger UI)"],
    [`${API}redoc`, "API reference", "the same to be read (ReDoc)"],
    [`${API}openapi.json`, "OpenAPI document", "for code generators"],
    [`${API}metrics`, "Metrics", "of one replica, as Prometheus reads them"],
    [`${API}health`, "Health", "as JSON"],
    ...(PROMETHEUS
      ? [
          [
            `${PROMETHEUS}api/v1/query?query=ml_api:request_seconds:p99`,
            "Prometheus",
            "its query API; here p99 of predictions, in seconds",
          ],
        ]
      : []),
  ];
  const items = all.map(([href, name, what]) =>
    h("li", {}, h("a", { href }, name), h("span", { class: "muted" }, ` – ${what}`)),
  );
  return h(
    "section",
    { class: "card", "aria-labelledby": "links-title" },
    h("h2", { id: "links-title" }, "More"),
    h("ul", {}, ...items),
  );
}

/** What Prometheus is asked, in PromQL. All series come of one query, told apart by a label. */

const PREDICTIONS = 'endpoint=~"/predict.*"';

/** What counts as an error, as for the alert ErrorsHigh; 503 is told apart. */
const FAILED = 'status=~"5..",status!="503"';

/**
 * Each series of the dashboard under the label `series`.
 *
 * @param {number} window seconds over which rates are taken
 */
export function seriesExpression(window) {
  const over = `[${Math.round(window)}s]`;
  const durations = `sum by(le)(rate(ml_api_request_duration_seconds_bucket{${PREDICTIONS}}${over}))`;
  const run = (/** @type {string} */ part) => `rate(ml_api_run_seconds_${part}${over})`;
  const rows = (/** @type {string} */ part) => `sum(rate(ml_api_batch_rows_${part}${over}))`;
  const shares =
    `sum by(result)(rate(ml_api_cache_requests_total{result=~"l1|redis|coalesced"}${over}))` +
    `/on()group_left()sum(rate(ml_api_cache_requests_total{result!="bypass"}${over}))`;
  return union("series", {
    requests: `sum(rate(ml_api_requests_total{${PREDICTIONS}}${over}))`,
    errors: `sum(rate(ml_api_requests_total{${PREDICTIONS},${FAILED}}${over}))`,
    refused: `sum(rate(ml_api_requests_total{${PREDICTIONS},status="503"}${over}))`,
    p50: `histogram_quantile(0.5,${durations})`,
    p95: `histogram_quantile(0.95,${durations})`,
    p99: `histogram_quantile(0.99,${durations})`,
    batchRows: `${rows("sum")}/${rows("count")}`,
    // Not the newest sample of the last 5 minutes, which outlives a Prometheus that was away.
    queueRows: `sum(last_over_time(ml_api_queue_depth_rows${over}))`,
    runMean: `sum(${run("sum")})/sum(${run("count")})`,
    runP95: `histogram_quantile(0.95,sum by(le)(${run("bucket")}))`,
  }).concat(` or label_replace(${shares},"series","$1","result","(.*)")`);
}

/**
 * What is known of each replica, under the label `field`, by `instance`.
 *
 * @param {number} window seconds over which rates are taken
 */
export function replicasExpression(window) {
  const over = `[${Math.round(window)}s]`;
  const durations = `rate(ml_api_request_duration_seconds_bucket{${PREDICTIONS}}${over})`;
  return union("field", {
    up: 'up{job="api"}',
    sampled: 'timestamp(up{job="api"})',
    version: "ml_api_info",
    uptime: 'time()-process_start_time_seconds{job="api"}',
    requests: `sum by(instance)(rate(ml_api_requests_total{${PREDICTIONS}}${over}))`,
    errors: `sum by(instance)(rate(ml_api_requests_total{${PREDICTIONS},${FAILED}}${over}))`,
    p95: `histogram_quantile(0.95,sum by(instance,le)(${durations}))`,
    behind: "ml_api_reload_behind",
    model: "ml_api_model_info",
  });
}

/** @param {string} label @param {Record<string, string>} expressions */
function union(label, expressions) {
  return Object.entries(expressions)
    .map(([name, expression]) => `label_replace(${expression},"${label}","${name}","","")`)
    .join(" or ");
}

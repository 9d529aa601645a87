"""The scenarios, by name, in the order in which they run."""

from . import crashes, fakes, movements, refusals, rights, servers

ALL = {
    "effects": servers.effects,
    "full-iteration": movements.full_iteration,
    "surge-single-replica": movements.surge_single_replica,
    "rolling-update": movements.rolling_update,
    "killed-in-every-phase": crashes.killed_in_every_phase,
    "leader-paused-past-its-lease": crashes.leader_paused,
    "restored-backup": crashes.restored_backup,
    "budget-blocks": refusals.budget_blocks,
    "never-ready": refusals.never_ready,
    "stock-out": refusals.stock_out,
    "node-never-joins": refusals.never_joins,
    "least-privilege": rights.least_privilege,
    "namespace-not-enrolled": rights.not_enrolled,
    "api-server-restarts-and-watches-expire": servers.restart_and_expire,
    "simulated-cluster-answers-as-a-real-one": fakes.same_answers,
}

# shellcheck shell=bash
# A real Kubernetes control plane on loopback, for tests: etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kwok (which plays
# the kubelets) and Prometheus. To be sourced; the programs in tests/e2e/control-plane (up, down, ctl) are thin calls of these functions.
#
# Everything of one control plane lives in one work directory, so that any number of them run side by side:
#   env            to be sourced: KUBECONFIG, PROMETHEUS_URL, ports, process ids, PATH with the built programs
#   log/NAME.log   a component's output        run/NAME.{pid,cmd}   what runs, and how to start it again
#   kubeconfig/    one file for each user      pki/, etcd/, prometheus/

cp_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/../control-plane" && pwd)
# In the order of start. `down` goes through it backwards.
cp_components=(etcd kube-apiserver kube-controller-manager kube-scheduler kwok prometheus)
# A loaded machine is slow: a limit that only a real failure reaches.
cp_timeout=${KINEMA_E2E_TIMEOUT:-180}

cp_say() { printf 'control-plane: %s\n' "$*" >&2; }
cp_fail() {
	cp_say "$*"
	return 1
}

# --- processes -------------------------------------------------------------------------------------------------------------------------

# When the process with this id started, in clock ticks since boot; empty if there is none. A process id alone may have been given to
# another program meanwhile; together with its start time it is unique.
cp_started_at() {
	local stat
	{ stat=$(<"/proc/$1/stat"); } 2>/dev/null || return 0
	# The second field, the name, may hold spaces and parentheses: count from its end.
	local fields
	read -r -a fields <<<"${stat##*) }"
	# A zombie is dead: it only waits for a parent that may never ask.
	[[ ${fields[0]} == [ZX] ]] || printf '%s' "${fields[19]}"
}

# Prints the process id of component $1 if it runs.
cp_pid() {
	local pid started
	read -r pid started 2>/dev/null <"$cp_work/run/$1.pid" || return 1
	[[ -n $started && $(cp_started_at "$pid") == "$started" ]] || return 1
	printf '%s' "$pid"
}

# Starts component $1. With further arguments: with this command line, which is kept for restarts.
cp_start() {
	local name=$1
	shift
	if (($#)); then printf '%s\0' "$@" >"$cp_work/run/$name.cmd"; fi
	[[ -s $cp_work/run/$name.cmd ]] || cp_fail "$name was never started here" || return
	if cp_pid "$name" >/dev/null; then cp_fail "$name runs already" || return; fi
	local command
	mapfile -d '' -t command <"$cp_work/run/$name.cmd"
	# A session of its own: Ctrl-C in the terminal must reach the test, which then calls `down`, not its cluster. The working directory
	# keeps what a program may drop in it out of the tree.
	(
		cd "$cp_work" || exit
		exec setsid "${command[@]}" >>"$cp_work/log/$name.log" 2>&1 </dev/null
	) &
	local pid=$! started
	started=$(cp_started_at "$pid")
	printf '%s %s\n' "$pid" "$started" >"$cp_work/run/$name.pid"
	disown "$pid" 2>/dev/null || true
}

cp_tail() {
	cp_say "last lines of $cp_work/log/$1.log:"
	tail -n 25 "$cp_work/log/$1.log" >&2 || true
}

# Waits until the command succeeds: cp_wait COMPONENT COMMAND... Gives up when the component is gone or the time is over.
cp_wait() {
	local name=$1 deadline=$((SECONDS + cp_timeout))
	shift
	until "$@" >/dev/null 2>&1; do
		if ! cp_pid "$name" >/dev/null; then
			cp_tail "$name"
			cp_fail "$name has exited"
			return
		fi
		if ((SECONDS >= deadline)); then
			cp_tail "$name"
			cp_fail "$name is not ready after $cp_timeout s ($*)"
			return
		fi
		sleep 0.2
	done
}

# Stops component $1 with signal $2 (TERM), and waits for its end. What does not heed it is killed.
cp_stop() {
	local name=$1 signal=${2:-TERM} pid
	pid=$(cp_pid "$name") || return 0
	kill -"$signal" "$pid" 2>/dev/null || true
	# A stopped process cannot act on the signal.
	kill -CONT "$pid" 2>/dev/null || true
	# The API server would wait a minute for its watches to end.
	local deadline=$((SECONDS + 5))
	while cp_pid "$name" >/dev/null; do
		if ((SECONDS >= deadline)); then kill -KILL "$pid" 2>/dev/null || true; fi
		sleep 0.1
	done
}

# Freezes or thaws a component by name, or any process by id (a daemon under test).
cp_signal() {
	local signal=$1 pid=$2
	[[ $pid =~ ^[0-9]+$ ]] || pid=$(cp_pid "$pid") || cp_fail "$2 does not run" || return
	kill -"$signal" "$pid"
}
cp_pause() { cp_signal STOP "$1"; }
cp_resume() { cp_signal CONT "$1"; }

# --- parts of `up` ---------------------------------------------------------------------------------------------------------------------

# Sets the variables named to ports of loopback that nothing listens on. Below the range from which the kernel takes the ports of outgoing
# connections: one of those could take ours between the check and the use.
cp_free_ports() {
	local name port taken=' '
	for name in "$@"; do
		while :; do
			port=$((18000 + RANDOM % 12000))
			[[ $taken == *" $port "* ]] && continue
			# Nobody answers: free.
			(exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
		done
		taken+="$port "
		printf -v "$name" '%s' "$port"
	done
}

cp_key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1"; }

# Makes a certificate authority: cp_authority NAME
cp_authority() {
	cp_key "$cp_work/pki/$1.key"
	openssl req -x509 -new -key "$cp_work/pki/$1.key" -subj "/CN=e2e-$1" -days 3650 -addext keyUsage=critical,keyCertSign,cRLSign -out "$cp_work/pki/$1.crt"
}

# Signs a certificate: cp_certificate AUTHORITY FILE SUBJECT EXTENSION...
cp_certificate() {
	local authority=$cp_work/pki/$1 file=$cp_work/pki/$2 subject=$3
	shift 3
	cp_key "$file.key"
	openssl req -new -key "$file.key" -subj "$subject" -out "$file.csr"
	printf '%s\n' basicConstraints=CA:FALSE keyUsage=digitalSignature "$@" >"$file.ext"
	openssl x509 -req -in "$file.csr" -CA "$authority.crt" -CAkey "$authority.key" -set_serial "0x$(openssl rand -hex 8)" -days 3650 \
		-extfile "$file.ext" -out "$file.crt" 2>/dev/null
	rm "$file.csr" "$file.ext"
}

# Makes a user of the cluster and prints the path of a kubeconfig: cp_kubeconfig USER [GROUP...]. A user has no permission but what RBAC
# gives to its name and groups (system:masters: all).
cp_kubeconfig() {
	local user=$1 file subject=
	shift
	file=${user//[^a-zA-Z0-9.-]/_}
	if [[ ! -e $cp_work/kubeconfig/$file ]]; then
		local group
		for group in "$@"; do subject+="/O=$group"; done
		cp_certificate ca "user-$file" "$subject/CN=$user" extendedKeyUsage=clientAuth
		cat >"$cp_work/kubeconfig/$file" <<-EOF
			apiVersion: v1
			kind: Config
			clusters:
			- name: e2e
			  cluster:
			    server: https://127.0.0.1:$APISERVER_PORT
			    certificate-authority: $cp_work/pki/ca.crt
			users:
			- name: $user
			  user:
			    client-certificate: $cp_work/pki/user-$file.crt
			    client-key: $cp_work/pki/user-$file.key
			contexts:
			- name: e2e
			  context: {cluster: e2e, user: $user}
			current-context: e2e
		EOF
	fi
	printf '%s\n' "$cp_work/kubeconfig/$file"
}

cp_pki() {
	cp_authority ca
	# By this one an aggregated API (metrics.k8s.io, say) knows the API server.
	cp_authority front-proxy-ca
	cp_certificate front-proxy-ca front-proxy /CN=front-proxy extendedKeyUsage=clientAuth
	cp_certificate ca apiserver /CN=kube-apiserver extendedKeyUsage=serverAuth \
		subjectAltName=IP:127.0.0.1,IP:10.96.0.1,DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc
	cp_key "$cp_work/pki/service-account.key"
	openssl ec -in "$cp_work/pki/service-account.key" -pubout -out "$cp_work/pki/service-account.pub" 2>/dev/null
}

cp_write_env() {
	local name pid
	{
		printf 'export %s=%q\n' \
			KINEMA_E2E_WORK "$cp_work" KINEMA_E2E_BIN "$cp_bin" KUBECONFIG "$cp_work/kubeconfig/admin" \
			APISERVER_URL "https://127.0.0.1:$APISERVER_PORT" APISERVER_PORT "$APISERVER_PORT" \
			ETCD_URL "http://127.0.0.1:$ETCD_PORT" ETCD_PORT "$ETCD_PORT" ETCD_PEER_PORT "$ETCD_PEER_PORT" \
			KWOK_URL "http://127.0.0.1:$KWOK_PORT" KWOK_PORT "$KWOK_PORT" \
			CONTROLLER_MANAGER_PORT "$CONTROLLER_MANAGER_PORT" SCHEDULER_PORT "$SCHEDULER_PORT"
		# Left out with --no-prometheus: a test must not wait for a port where nobody will answer.
		if [[ -n ${PROMETHEUS_PORT:-} ]]; then
			printf 'export %s=%q\n' PROMETHEUS_URL "http://127.0.0.1:$PROMETHEUS_PORT" PROMETHEUS_PORT "$PROMETHEUS_PORT"
		fi
		for name in "${cp_components[@]}"; do
			pid=$(cp_pid "$name") || pid=
			name=${name^^}
			printf 'export %s_PID=%s\n' "${name//-/_}" "$pid"
		done
		# shellcheck disable=SC2016
		printf 'case ":$PATH:" in *:%q:*) ;; *) export PATH=%q:$PATH ;; esac\n' "$cp_bin" "$cp_bin"
	} >"$cp_work/env.new"
	mv "$cp_work/env.new" "$cp_work/env"
}

cp_etcd_ready() { curl -fsS -m 5 "http://127.0.0.1:$ETCD_PORT/health"; }
cp_apiserver_ready() { curl -fsS -m 5 --cacert "$cp_work/pki/ca.crt" "https://127.0.0.1:$APISERVER_PORT/readyz"; }
# These two sign their own certificate, for loopback.
cp_controller_manager_ready() { curl -fsSk -m 5 "https://127.0.0.1:$CONTROLLER_MANAGER_PORT/healthz"; }
cp_scheduler_ready() { curl -fsSk -m 5 "https://127.0.0.1:$SCHEDULER_PORT/readyz"; }
cp_kwok_ready() { curl -fsS -m 5 "http://127.0.0.1:$KWOK_PORT/healthz"; }
cp_prometheus_ready() { curl -fsS -m 5 "http://127.0.0.1:$PROMETHEUS_PORT/-/ready"; }

cp_ready() {
	case $1 in
	etcd) cp_wait etcd cp_etcd_ready ;;
	kube-apiserver) cp_wait kube-apiserver cp_apiserver_ready ;;
	kube-controller-manager) cp_wait kube-controller-manager cp_controller_manager_ready ;;
	kube-scheduler) cp_wait kube-scheduler cp_scheduler_ready ;;
	kwok) cp_wait kwok cp_kwok_ready ;;
	prometheus) cp_wait prometheus cp_prometheus_ready ;;
	*) cp_fail "no component $1: ${cp_components[*]}" ;;
	esac
}

cp_up_usage() {
	cat <<'EOF'
Usage: up [OPTION]... [WORK_DIRECTORY]
Starts a control plane and prints the path of a file to source: KUBECONFIG, PROMETHEUS_URL, ports, process ids, PATH.

  --pods fast|general     how kwok plays pods: ready and gone at once (default), or after seconds as on a real node, each delay to be set by
                          the pod's annotations pod-create.stage.kwok.x-k8s.io/delay, pod-ready.…, pod-delete.… (and …/jitter-delay)
  --node-lease SECONDS    of the node leases that kwok renews (default 120)
  --node-grace DURATION   after which a silent node is NotReady (default 5m; a scenario of a node's crash wants 20s)
  --scrape DURATION       Prometheus' scrape interval (default 5s)
  --no-prometheus         leave Prometheus out
  --apiserver-flag FLAG   one more flag of kube-apiserver; may be repeated
EOF
}

# Starts a control plane; the options are those of cp_up_usage.
cp_up() {
	local pods=fast lease=120 grace=5m scrape=5s prometheus=1 work='' apiserver_flags=()
	while (($#)); do
		case $1 in
		--pods) pods=$2 && shift ;;
		--node-lease) lease=$2 && shift ;;
		--node-grace) grace=$2 && shift ;;
		--scrape) scrape=$2 && shift ;;
		--no-prometheus) prometheus=0 ;;
		--apiserver-flag) apiserver_flags+=("$2") && shift ;;
		-h | --help)
			cp_up_usage
			return
			;;
		-*) cp_fail "unknown option $1 (see up --help)" || return ;;
		*) work=$1 ;;
		esac
		shift
	done
	[[ $pods == fast || $pods == general ]] || cp_fail "--pods is fast or general, not $pods" || return
	local tool
	for tool in curl openssl setsid; do
		command -v "$tool" >/dev/null || cp_fail "needs $tool" || return
	done

	cp_bin=$("$cp_dir/build" | tail -n 1) && [[ -n $cp_bin ]] || return
	local share=${cp_bin%/bin}/share
	if [[ -n $work ]]; then mkdir -p "$work"; else work=$(mktemp -d "${TMPDIR:-/tmp}/kinema-e2e.XXXXXX"); fi
	cp_work=$(cd "$work" && pwd)
	# A second control plane in the same directory would lose the first one's process ids, and so its processes.
	if [[ -e $cp_work/env ]]; then cp_fail "$cp_work holds a control plane already: run down first" || return; fi
	mkdir -p "$cp_work"/{pki,kubeconfig,log,run}
	cp_free_ports ETCD_PORT ETCD_PEER_PORT APISERVER_PORT CONTROLLER_MANAGER_PORT SCHEDULER_PORT KWOK_PORT PROMETHEUS_PORT
	((prometheus)) || unset PROMETHEUS_PORT
	cp_write_env
	cp_start_all || {
		cp_down "$cp_work"
		return 1
	}
	cp_write_env
	printf '%s\n' "$cp_work/env"
}

cp_start_all() {
	local pki=$cp_work/pki url
	cp_pki 2>"$cp_work/log/openssl.log" || cp_fail "openssl failed: $(<"$cp_work/log/openssl.log")" || return
	local admin controller_manager scheduler kwok
	admin=$(cp_kubeconfig admin system:masters)
	controller_manager=$(cp_kubeconfig system:kube-controller-manager)
	scheduler=$(cp_kubeconfig system:kube-scheduler)
	kwok=$(cp_kubeconfig kwok)

	# Without fsync: processes are killed here, not the machine, and a slow disk would slow down every test.
	url=http://127.0.0.1:$ETCD_PORT
	cp_start etcd "$cp_bin/etcd" --name e2e --data-dir "$cp_work/etcd" --listen-client-urls "$url" --advertise-client-urls "$url" \
		--listen-peer-urls "http://127.0.0.1:$ETCD_PEER_PORT" --initial-advertise-peer-urls "http://127.0.0.1:$ETCD_PEER_PORT" \
		--initial-cluster "e2e=http://127.0.0.1:$ETCD_PEER_PORT" --unsafe-no-fsync --log-outputs stderr --log-level warn
	cp_ready etcd || return

	# No endpoint for the service `kubernetes`: an endpoint may not be on loopback, and nobody in the cluster would call it. etcd is
	# compacted by the tests alone, or what a watch answers would depend on the minute.
	cp_start kube-apiserver "$cp_bin/kube-apiserver" --etcd-servers="$url" --etcd-compaction-interval=0 \
		--bind-address=127.0.0.1 --advertise-address=127.0.0.1 --secure-port="$APISERVER_PORT" --endpoint-reconciler-type=none \
		--cert-dir="$pki" --tls-cert-file="$pki/apiserver.crt" --tls-private-key-file="$pki/apiserver.key" --client-ca-file="$pki/ca.crt" \
		--requestheader-client-ca-file="$pki/front-proxy-ca.crt" --requestheader-username-headers=X-Remote-User \
		--requestheader-group-headers=X-Remote-Group --requestheader-extra-headers-prefix=X-Remote-Extra- \
		--proxy-client-cert-file="$pki/front-proxy.crt" --proxy-client-key-file="$pki/front-proxy.key" \
		--service-account-issuer=https://kubernetes.default.svc --service-account-key-file="$pki/service-account.pub" \
		--service-account-signing-key-file="$pki/service-account.key" --service-cluster-ip-range=10.96.0.0/16 \
		--authorization-mode=Node,RBAC --allow-privileged=true --profiling=false "${apiserver_flags[@]}"
	cp_ready kube-apiserver || return
	"$cp_bin/kubectl" --kubeconfig "$admin" create -f "$share/kwok-role.yaml" >/dev/null || return
	"$cp_bin/kubectl" --kubeconfig "$admin" create clusterrolebinding kwok --clusterrole=kwok-controller --user=kwok >/dev/null || return

	# Without leader election: there is one of each, and a renewal that comes too late on a busy machine would end it.
	cp_start kube-controller-manager "$cp_bin/kube-controller-manager" --kubeconfig="$controller_manager" \
		--authentication-kubeconfig="$controller_manager" --authorization-kubeconfig="$controller_manager" \
		--bind-address=127.0.0.1 --secure-port="$CONTROLLER_MANAGER_PORT" --cert-dir="$pki/controller-manager" --leader-elect=false \
		--controllers='*,-cloud-node-lifecycle-controller,-service-lb-controller,-node-route-controller,-node-ipam-controller' \
		--use-service-account-credentials=true --service-account-private-key-file="$pki/service-account.key" --root-ca-file="$pki/ca.crt" \
		--node-monitor-grace-period="$grace" --kube-api-qps=200 --kube-api-burst=400
	cat >"$cp_work/scheduler.yaml" <<-EOF
		apiVersion: kubescheduler.config.k8s.io/v1
		kind: KubeSchedulerConfiguration
		leaderElection: {leaderElect: false}
		clientConnection: {kubeconfig: "$scheduler", qps: 200, burst: 400}
	EOF
	cp_start kube-scheduler "$cp_bin/kube-scheduler" --config="$cp_work/scheduler.yaml" \
		--authentication-kubeconfig="$scheduler" --authorization-kubeconfig="$scheduler" \
		--bind-address=127.0.0.1 --secure-port="$SCHEDULER_PORT" --cert-dir="$pki/scheduler"
	cp_start kwok "$cp_bin/kwok" --kubeconfig="$kwok" --config="$share/kwok-$pods.yaml" --manage-all-nodes=false \
		--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake --node-lease-duration-seconds="$lease" \
		--server-address="127.0.0.1:$KWOK_PORT"
	if ((prometheus)); then
		cp_prometheus_config "$scrape" >"$cp_work/prometheus.yaml"
		cp_start prometheus "$cp_bin/prometheus" --config.file="$cp_work/prometheus.yaml" --storage.tsdb.path="$cp_work/prometheus" \
			--storage.tsdb.retention.time=1d --web.listen-address="127.0.0.1:$PROMETHEUS_PORT" --log.level=warn
	fi
	cp_ready kube-controller-manager && cp_ready kube-scheduler && cp_ready kwok || return
	if ((prometheus)); then cp_ready prometheus || return; fi
	# No pod can be created in a namespace before its service account exists.
	local namespace
	for namespace in default kube-system; do
		cp_wait kube-controller-manager "$cp_bin/kubectl" --kubeconfig "$admin" -n "$namespace" get serviceaccount default || return
	done
}

# kwok serves each node's metrics as its kubelet would and lists them for Prometheus. It names no node in them: real scrapes of kubelets
# carry it as a label of the target.
cp_prometheus_config() {
	cat <<-EOF
		global: {scrape_interval: $1, scrape_timeout: $1, evaluation_interval: $1}
		scrape_configs:
		- job_name: kubelet
		  http_sd_configs: [{url: "http://127.0.0.1:$KWOK_PORT/discovery/prometheus", refresh_interval: 5s}]
		  relabel_configs:
		  - {source_labels: [__metrics_path__], regex: "/metrics/nodes/([^/]+)(/.*)", target_label: node, replacement: "\$1"}
		  - {source_labels: [__metrics_path__], regex: "/metrics/nodes/([^/]+)(/.*)", target_label: metrics_path, replacement: "\$2"}
		  - {source_labels: [node], target_label: instance}
		  - {regex: metrics_name, action: labeldrop}
	EOF
}

# --- a running control plane ------------------------------------------------------------------------------------------------------------

# Makes the functions below act on the control plane in directory $1.
cp_attach() {
	[[ -e $1/env ]] || cp_fail "no control plane in $1" || return
	# shellcheck disable=SC1091
	source "$1/env"
	cp_work=$KINEMA_E2E_WORK cp_bin=$KINEMA_E2E_BIN
}

# Ends exactly the processes that were started from directory $1, and keeps its files for a look. --remove: removes the directory too.
cp_down() {
	local remove=0
	if [[ ${1:-} == --remove ]]; then remove=1 && shift; fi
	cp_attach "$1" || return
	local i
	# Nothing here outlives the test: no need to wait until etcd and the rest have put everything in order.
	for ((i = ${#cp_components[@]} - 1; i >= 0; i--)); do cp_stop "${cp_components[i]}" KILL; done
	rm -f "$cp_work/env"
	if ((remove)); then rm -rf "$cp_work"; fi
}

# Restarts component $1, ending it with signal $2 (TERM; KILL: a crash), and waits until it is ready.
cp_restart() {
	cp_stop "$1" "${2:-TERM}"
	cp_start "$1" || return
	cp_ready "$1" || return
	cp_write_env
}
cp_restart_apiserver() { cp_restart kube-apiserver "$@"; }

cp_etcdctl() { ETCDCTL_API=3 "$cp_bin/etcdctl" --endpoints="http://127.0.0.1:$ETCD_PORT" "$@"; }

# Forgets the history of etcd up to now, and prints the revision. What pages through a list begun earlier gets 410 Gone. Most watches do not
# notice: the API server serves them from its own memory.
cp_compact_etcd() {
	local revision
	revision=$(cp_etcdctl get --keys-only --limit=1 no-such-key -w fields | sed -n 's/^"Revision" : //p')
	[[ $revision =~ ^[0-9]+$ ]] || cp_fail "etcd told no revision" || return
	cp_etcdctl compact "$revision" --physical >&2 || return
	printf '%s\n' "$revision"
}

# Makes every watch that is resumed fail with 410 Gone, as after an outage during which etcd was compacted: the new API server's memory
# begins at a revision that no client has seen, and etcd remembers nothing before it.
cp_expire_watches() {
	cp_stop kube-apiserver "${1:-TERM}"
	cp_etcdctl put e2e-revision "$(date +%s%N)" >&2 || return
	cp_compact_etcd || return
	cp_start kube-apiserver && cp_ready kube-apiserver || return
	cp_write_env
}

# shellcheck shell=bash
# A mixed, fragmented cluster as a team finds its own after a year: pools of several machine types in three zones, workloads with every
# constraint that a rescheduler meets, half of the room unused. To be sourced, after node.sh, with KUBECONFIG set.

# How the nodes are divided into pools: name, machine type, how many of 40, spot, taints.
e2e_pools='general e2-standard-4 16 - []
large e2-standard-8 9 - []
latency n2-standard-4 9 - []
spot e2-standard-8 3 spot [{key: cloud.google.com/gke-spot, value: "true", effect: NoSchedule}]
data e2-standard-4 3 - [{key: dedicated, value: data, effect: NoSchedule}]'

# Prints the manifests of $1 nodes.
e2e_cluster_nodes() {
	local total=$1 made=0 pool type share spot taints count i zones=(us-central1-a us-central1-b us-central1-c)
	while read -r pool type share spot taints; do
		count=$((share * total / 40))
		# What the division leaves goes to the first pool.
		if [[ $pool == general ]]; then
			local others=0 other
			for other in 9 9 3 3; do others=$((others + other * total / 40)); done
			count=$((total - others))
		fi
		[[ $spot == spot ]] || spot=
		for ((i = 0; i < count; i++)); do
			made=$((made + 1))
			E2E_NODE_SPOT=$spot E2E_NODE_TAINTS=$taints \
				e2e_node "gke-shop-$pool-$(printf '%08x-%04x' $((0x2fb3a1c7 + 0x1b5 * ${#pool})) $((0x3a17 + 0x251 * made)))" \
				"$type" "${zones[i % 3]}" "$pool" "$made"
		done
	done <<<"$e2e_pools"
}

# What GKE runs on every node, with the requests seen on a real one: three DaemonSets (kube-proxy is a mirror pod of each node, below);
# kube-dns; and the priority class that some of the Deployments name.
e2e_cluster_system() {
	local name cpu memory
	printf -- '---\n{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: customer-facing}, value: 100000}\n'
	while read -r name cpu memory; do
		cat <<-EOF
			---
			apiVersion: apps/v1
			kind: DaemonSet
			metadata: {name: $name, namespace: kube-system, labels: {k8s-app: $name}}
			spec:
			  selector: {matchLabels: {k8s-app: $name}}
			  template:
			    metadata:
			      labels: {k8s-app: $name}
			      annotations: {kwok.x-k8s.io/usage-cpu: 8m, kwok.x-k8s.io/usage-memory: 40Mi}
			    spec:
			      priorityClassName: system-node-critical
			      tolerations: [{operator: Exists}]
			      nodeSelector: {kubernetes.io/os: linux}
			      containers:
			      - {name: $name, image: example/$name, resources: {requests: {cpu: $cpu, memory: $memory}, limits: {memory: 500Mi}}}
		EOF
	done <<-EOF
		fluentbit-gke 105m 230Mi
		gke-metrics-agent 21m 145Mi
		pdcsi-node 10m 20Mi
	EOF
	cat <<-EOF
		---
		apiVersion: apps/v1
		kind: Deployment
		metadata: {name: kube-dns, namespace: kube-system, labels: {k8s-app: kube-dns}}
		spec:
		  replicas: 2
		  selector: {matchLabels: {k8s-app: kube-dns}}
		  template:
		    metadata:
		      labels: {k8s-app: kube-dns}
		      annotations: {kwok.x-k8s.io/usage-cpu: 12m, kwok.x-k8s.io/usage-memory: 45Mi}
		    spec:
		      priorityClassName: system-cluster-critical
		      tolerations: [{key: CriticalAddonsOnly, operator: Exists}]
		      affinity:
		        podAntiAffinity:
		          preferredDuringSchedulingIgnoredDuringExecution:
		          - {weight: 100, podAffinityTerm: {topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {k8s-app: kube-dns}}}}
		      containers:
		      - {name: kubedns, image: example/kube-dns, resources: {requests: {cpu: 260m, memory: 110Mi}, limits: {memory: 210Mi}}}
		---
		apiVersion: policy/v1
		kind: PodDisruptionBudget
		metadata: {name: kube-dns, namespace: kube-system}
		spec: {maxUnavailable: 1, selector: {matchLabels: {k8s-app: kube-dns}}}
	EOF
}

# Needs the nodes: a mirror pod belongs to its node.
e2e_cluster_mirror_pods() {
	local name uid
	kubectl get nodes -o jsonpath='{range .items[*]}{.metadata.name} {.metadata.uid}{"\n"}{end}' | while read -r name uid; do
		cat <<-EOF
			---
			apiVersion: v1
			kind: Pod
			metadata:
			  name: kube-proxy-$name
			  namespace: kube-system
			  labels: {component: kube-proxy, tier: node}
			  annotations:
			    kubernetes.io/config.hash: 0123456789abcdef0123456789abcdef
			    kubernetes.io/config.mirror: 0123456789abcdef0123456789abcdef
			    kubernetes.io/config.source: file
			    kwok.x-k8s.io/usage-cpu: 3m
			    kwok.x-k8s.io/usage-memory: 30Mi
			  ownerReferences: [{apiVersion: v1, kind: Node, name: $name, uid: $uid, controller: true}]
			spec:
			  nodeName: $name
			  hostNetwork: true
			  enableServiceLinks: false
			  priorityClassName: system-node-critical
			  tolerations: [{operator: Exists, effect: NoExecute}, {operator: Exists, effect: NoSchedule}]
			  containers:
			  - {name: kube-proxy, image: example/kube-proxy, resources: {requests: {cpu: 100m}}}
		EOF
	done
}

# Prints `namespace name replicas` of each of $1 Deployments.
e2e_cluster_replicas() {
	local i namespaces=(shop payments search media) replicas=(3 1 4 2 2 5 1 3 2 4 1 2)
	for ((i = 0; i < $1; i++)); do
		printf '%s app-%02d %d\n' "${namespaces[i % 4]}" "$i" "${replicas[i % 12]}"
	done
}

# Prints the manifests of $1 Deployments with what belongs to them, and of some other workloads. The Deployments get $2 percent of their
# replicas: scaled back to what e2e_cluster_replicas says once they run, they leave the holes of a cluster that has lived.
e2e_cluster_workloads() {
	local total=$1 percent=$2 namespace name replicas i=0
	for namespace in shop payments search media; do printf -- '---\n{apiVersion: v1, kind: Namespace, metadata: {name: %s}}\n' "$namespace"; done
	while read -r namespace name replicas; do
		e2e_deployment "$i" "$namespace" "$name" "$replicas" "$percent"
		i=$((i + 1))
	done < <(e2e_cluster_replicas "$total")
	e2e_other_workloads
}

e2e_deployment() {
	local i=$1 namespace=$2 name=$3 replicas=$4 percent=$5
	# CPU and memory requested, CPU and memory used, in milli-CPU and MiB.
	local sizes=('100 128 30 90' '250 256 240 180' '250 512 60 300' '500 512 180 410' '500 1024 220 500' '1000 2048 350 1500' '750 1536 90 900'
		'1500 3072 600 1800' '200 2048 80 1900' '2000 4096 800 2500' '300 600 330 450') cpu memory used_cpu used_memory
	read -r cpu memory used_cpu used_memory <<<"${sizes[i % 11]}"

	local annotations="kwok.x-k8s.io/usage-cpu: ${used_cpu}m, kwok.x-k8s.io/usage-memory: ${used_memory}Mi"
	case $i in
	17) annotations+=', cluster-autoscaler.kubernetes.io/safe-to-evict: "false"' ;;
	29) annotations+=', karpenter.sh/do-not-disrupt: "true"' ;;
	esac
	cat <<-EOF
		---
		apiVersion: apps/v1
		kind: Deployment
		metadata: {name: $name, namespace: $namespace, labels: {app: $name}}
		spec:
		  replicas: $(((replicas * percent + 99) / 100))
		  selector: {matchLabels: {app: $name}}
		  strategy: {rollingUpdate: {maxSurge: 25%, maxUnavailable: 25%}}
		  template:
		    metadata:
		      labels: {app: $name, tier: tier-$((i % 3))}
		      annotations: {$annotations}
		    spec:
		      terminationGracePeriodSeconds: 30
		      containers:
		      - name: main
		        image: example/$name:1.$i
		        ports: [{containerPort: 8080}]
		        resources: {requests: {cpu: ${cpu}m, memory: ${memory}Mi}, limits: {memory: $((memory * 3 / 2))Mi}}
	EOF
	# A sidecar of the old and one of the new kind.
	if ((i % 9 == 4)); then printf '      - {name: proxy, image: example/proxy, resources: {requests: {cpu: 50m, memory: 64Mi}, limits: {memory: 128Mi}}}\n'; fi
	if ((i % 20 == 7)); then printf '      initContainers: [{name: agent, image: example/agent, restartPolicy: Always, resources: {requests: {cpu: 20m, memory: 32Mi}}}]\n'; fi
	if ((i % 20 == 13)); then printf '      initContainers: [{name: migrate, image: example/migrate, resources: {requests: {cpu: "1", memory: 1Gi}}}]\n'; fi
	if ((i % 11 == 3)); then printf '      priorityClassName: customer-facing\n'; fi
	if ((i % 6 == 0)); then
		printf '      topologySpreadConstraints: [{maxSkew: 1, topologyKey: topology.kubernetes.io/zone, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {app: %s}}}]\n' "$name"
	fi
	if ((i % 12 == 8)); then
		printf '      topologySpreadConstraints: [{maxSkew: 2, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: ScheduleAnyway, labelSelector: {matchLabels: {app: %s}}}]\n' "$name"
	fi
	local required='requiredDuringSchedulingIgnoredDuringExecution' preferred='preferredDuringSchedulingIgnoredDuringExecution'
	case $((i % 20)) in
	2 | 12) printf '      nodeSelector: {cloud.google.com/machine-family: n2}\n' ;;
	4) printf '      nodeSelector: {cloud.google.com/gke-nodepool: data}\n      tolerations: [{key: dedicated, operator: Equal, value: data, effect: NoSchedule}]\n' ;;
	3) cat <<-EOF ;;
		      tolerations: [{key: cloud.google.com/gke-spot, operator: Equal, value: "true", effect: NoSchedule}]
		      affinity:
		        nodeAffinity:
		          $preferred: [{weight: 50, preference: {matchExpressions: [{key: cloud.google.com/gke-spot, operator: In, values: ["true"]}]}}]
	EOF
	9) cat <<-EOF ;;
		      affinity:
		        nodeAffinity:
		          $required: {nodeSelectorTerms: [{matchExpressions: [{key: topology.kubernetes.io/zone, operator: In, values: [us-central1-a, us-central1-b]}]}]}
	EOF
	1 | 7 | 13) cat <<-EOF ;;
		      affinity:
		        podAntiAffinity:
		          $required: [{topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {app: $name}}}]
	EOF
	5 | 15) cat <<-EOF ;;
		      affinity:
		        podAntiAffinity:
		          $preferred: [{weight: 100, podAffinityTerm: {topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {app: $name}}}}]
	EOF
	11) cat <<-EOF ;;
		      affinity:
		        podAffinity:
		          $preferred: [{weight: 20, podAffinityTerm: {topologyKey: topology.kubernetes.io/zone, labelSelector: {matchLabels: {tier: tier-0}}}}]
	EOF
	esac

	# A budget for every fourth: of each form, and for app-16 one that never lets a pod go.
	local budget=
	case $((i % 16)) in
	0) budget="minAvailable: $((replicas > 1 ? replicas - 1 : 1))" ;;
	4) budget="maxUnavailable: 1" ;;
	8) budget="maxUnavailable: 25%" ;;
	12) budget="minAvailable: 50%" ;;
	esac
	if ((i == 16)); then budget="minAvailable: 100%"; fi
	if [[ -n $budget ]]; then
		printf -- '---\n{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: %s, namespace: %s}, spec: {%s, selector: {matchLabels: {app: %s}}}}\n' \
			"$name" "$namespace" "$budget" "$name"
	fi
	if ((i % 10 == 5)); then
		cat <<-EOF
			---
			apiVersion: autoscaling/v2
			kind: HorizontalPodAutoscaler
			metadata: {name: $name, namespace: $namespace}
			spec:
			  minReplicas: $(((replicas + 1) / 2))
			  maxReplicas: $((replicas * 2))
			  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: $name}
			  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 60}}}]
		EOF
	fi
}

# Two StatefulSets, one of them with a disk in one zone for each pod; a pod of nobody; a finished job.
e2e_other_workloads() {
	local i zones=(us-central1-a us-central1-b us-central1-c)
	for i in 0 1 2; do
		cat <<-EOF
			---
			apiVersion: v1
			kind: PersistentVolume
			metadata: {name: pvc-0000000$i, labels: {topology.kubernetes.io/zone: ${zones[i]}}}
			spec:
			  capacity: {storage: 50Gi}
			  accessModes: [ReadWriteOnce]
			  persistentVolumeReclaimPolicy: Delete
			  claimRef: {namespace: search, name: data-index-$i}
			  csi: {driver: pd.csi.storage.gke.io, volumeHandle: projects/e2e-project/zones/${zones[i]}/disks/pvc-0000000$i, fsType: ext4}
			  nodeAffinity: {required: {nodeSelectorTerms: [{matchExpressions: [{key: topology.kubernetes.io/zone, operator: In, values: ["${zones[i]}"]}]}]}}
		EOF
	done
	cat <<-'EOF'
		---
		apiVersion: apps/v1
		kind: StatefulSet
		metadata: {name: index, namespace: search, labels: {app: index}}
		spec:
		  serviceName: index
		  replicas: 3
		  podManagementPolicy: Parallel
		  selector: {matchLabels: {app: index}}
		  template:
		    metadata:
		      labels: {app: index}
		      annotations: {kwok.x-k8s.io/usage-cpu: 300m, kwok.x-k8s.io/usage-memory: 2500Mi}
		    spec:
		      containers:
		      - name: index
		        image: example/index
		        resources: {requests: {cpu: "1", memory: 4Gi}, limits: {memory: 4Gi}}
		        volumeMounts: [{name: data, mountPath: /data}]
		  volumeClaimTemplates:
		  - metadata: {name: data}
		    spec: {accessModes: [ReadWriteOnce], storageClassName: "", resources: {requests: {storage: 50Gi}}}
		---
		apiVersion: policy/v1
		kind: PodDisruptionBudget
		metadata: {name: index, namespace: search}
		spec: {maxUnavailable: 1, selector: {matchLabels: {app: index}}}
		---
		apiVersion: apps/v1
		kind: StatefulSet
		metadata: {name: cache, namespace: shop, labels: {app: cache}}
		spec:
		  serviceName: cache
		  replicas: 2
		  selector: {matchLabels: {app: cache}}
		  template:
		    metadata:
		      labels: {app: cache}
		      annotations: {kwok.x-k8s.io/usage-cpu: 100m, kwok.x-k8s.io/usage-memory: 700Mi}
		    spec:
		      containers:
		      - {name: cache, image: example/cache, resources: {requests: {cpu: 250m, memory: 1Gi}, limits: {memory: 1Gi}}}
		---
		apiVersion: v1
		kind: Pod
		metadata: {name: debug-shell, namespace: shop, labels: {run: debug-shell}}
		spec:
		  containers:
		  - {name: shell, image: example/shell, resources: {requests: {cpu: 100m, memory: 64Mi}}}
		---
		apiVersion: batch/v1
		kind: Job
		metadata: {name: import-catalogue, namespace: shop}
		spec:
		  template:
		    spec:
		      restartPolicy: Never
		      containers:
		      - {name: import, image: example/import, resources: {requests: {cpu: 500m, memory: 512Mi}}}
	EOF
}

# Waits until every pod of the cluster is Ready or finished: e2e_cluster_settled SECONDS
e2e_cluster_settled() {
	local deadline=$((SECONDS + $1)) waiting
	while :; do
		waiting=$(kubectl get deployments,statefulsets,daemonsets -A -o json | jq '[.items[]
			| ((.status.desiredNumberScheduled // .spec.replicas) as $wanted
			| select((.status.observedGeneration != .metadata.generation) or (.status.numberReady // .status.readyReplicas // 0) != $wanted
				or (.kind == "Deployment" and (.status.replicas // 0) != $wanted)))] | length')
		((waiting == 0)) && return
		if ((SECONDS >= deadline)); then
			printf 'still waiting for %s workloads\n' "$waiting" >&2
			kubectl get pods -A --field-selector=status.phase=Pending >&2
			return 1
		fi
		sleep 0.5
	done
}

# Makes the whole: e2e_cluster NODES DEPLOYMENTS [PERCENT]. PERCENT of their replicas the Deployments have at first.
e2e_cluster() {
	local nodes=$1 deployments=$2 percent=${3:-140} namespace name replicas
	e2e_cluster_nodes "$nodes" | kubectl create -f - >/dev/null
	kubectl wait --for=condition=Ready node --all --timeout=120s >/dev/null
	e2e_cluster_mirror_pods | kubectl create -f - >/dev/null
	e2e_cluster_system | kubectl create -f - >/dev/null
	e2e_cluster_workloads "$deployments" "$percent" | kubectl create -f - >/dev/null
	# Where the peak does not fit, some pods stay pending until they are scaled away.
	e2e_cluster_settled 60 2>/dev/null || true
	while read -r namespace name replicas; do
		kubectl -n "$namespace" scale deployment "$name" --replicas="$replicas" >/dev/null
	done < <(e2e_cluster_replicas "$deployments")
	e2e_cluster_settled 300
}

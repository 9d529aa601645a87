# shellcheck shell=bash
# Nodes as GKE makes them, for kwok to play. To be sourced.

# What a machine type gives: vCPUs, the memory its system sees, what GKE leaves of both to pods (milli-CPU, MiB).
e2e_machine() {
	case ${1#*-} in
	standard-2) echo 2 7961 1930 6018 ;;
	standard-4) echo 4 16019 3920 13256 ;;
	standard-8) echo 8 32118 7910 28373 ;;
	standard-16) echo 16 64317 15890 58605 ;;
	highmem-4) echo 4 32118 3920 28373 ;;
	*)
		printf 'e2e_machine: unknown machine type %s\n' "$1" >&2
		return 1
		;;
	esac
}

# Prints the manifest of one node: e2e_node NAME MACHINE_TYPE ZONE [POOL] [ORDINAL]. The ordinal makes its pod addresses and instance id
# differ from its neighbours'. The variable E2E_NODE_SPOT makes it a spot machine, E2E_NODE_TAINTS is a list of taints in YAML flow style,
# E2E_NODE_LABELS further labels, one `key: value` a line.
e2e_node() {
	local name=$1 type=$2 zone=$3 pool=${4:-default-pool} ordinal=${5:-0} cpu memory allocatable_cpu allocatable_memory
	local region=${zone%-*} provisioning=standard spot=
	read -r cpu memory allocatable_cpu allocatable_memory <<<"$(e2e_machine "$type")"
	[[ -n $cpu ]] || return
	if [[ -n ${E2E_NODE_SPOT:-} ]]; then
		provisioning=spot
		spot='cloud.google.com/gke-spot: "true"'
	fi
	cat <<-EOF
		---
		apiVersion: v1
		kind: Node
		metadata:
		  name: $name
		  annotations:
		    kwok.x-k8s.io/node: fake
		    container.googleapis.com/instance_id: "$((4000000000000000000 + ordinal))"
		  labels:
		    beta.kubernetes.io/arch: amd64
		    beta.kubernetes.io/instance-type: $type
		    beta.kubernetes.io/os: linux
		    cloud.google.com/gke-boot-disk: pd-balanced
		    cloud.google.com/gke-container-runtime: containerd
		    cloud.google.com/gke-max-pods-per-node: "110"
		    cloud.google.com/gke-nodepool: $pool
		    cloud.google.com/gke-os-distribution: cos
		    cloud.google.com/gke-provisioning: $provisioning
		    cloud.google.com/machine-family: ${type%%-*}
		    failure-domain.beta.kubernetes.io/region: $region
		    failure-domain.beta.kubernetes.io/zone: $zone
		    kubernetes.io/arch: amd64
		    kubernetes.io/hostname: $name
		    kubernetes.io/os: linux
		    node.kubernetes.io/instance-type: $type
		    topology.gke.io/zone: $zone
		    topology.kubernetes.io/region: $region
		    topology.kubernetes.io/zone: $zone
	EOF
	[[ -z $spot ]] || printf '    %s\n' "$spot"
	[[ -z ${E2E_NODE_LABELS:-} ]] || printf '    %s\n' "${E2E_NODE_LABELS//$'\n'/$'\n'    }"
	cat <<-EOF
		spec:
		  providerID: gce://e2e-project/$zone/$name
		  podCIDR: 10.$((64 + ordinal / 256)).$((ordinal % 256)).0/24
		  podCIDRs: [10.$((64 + ordinal / 256)).$((ordinal % 256)).0/24]
		  taints: ${E2E_NODE_TAINTS:-[]}
		status:
		  addresses: [{type: InternalIP, address: 10.128.$((ordinal / 250)).$((ordinal % 250 + 2))}, {type: Hostname, address: $name}]
		  capacity: {cpu: "$cpu", memory: "$((memory * 1024))Ki", pods: "110", ephemeral-storage: 98831908Ki, hugepages-1Gi: "0", hugepages-2Mi: "0"}
		  allocatable: {cpu: ${allocatable_cpu}m, memory: "$((allocatable_memory * 1024))Ki", pods: "110", ephemeral-storage: "47060071478", hugepages-1Gi: "0", hugepages-2Mi: "0"}
		  nodeInfo:
		    architecture: amd64
		    bootID: ""
		    containerRuntimeVersion: containerd://2.1.4
		    kernelVersion: 6.12.55+
		    kubeProxyVersion: ""
		    kubeletVersion: v1.36.3-gke.1000000
		    machineID: ""
		    operatingSystem: linux
		    osImage: Container-Optimized OS from Google
		    systemUUID: ""
	EOF
}

// Asks the real kube-scheduler: random small clusters and pods, and for each pod the nodes that the
// default profile's plugins let it on, with their weighted scores. One cluster a line, in the form
// of kinema's facts; planner/tests/reference/conformance.rs compares the model's answers with them.
//
// It needs the scheduler's packages, which the module in tests/e2e/control-plane pins:
//
//	cp tests/e2e/control-plane/go.{mod,sum} planner/tests/reference/kube-scheduler/generate.go "$DIR"
//	cd "$DIR" && go build -mod=mod -o generate . && ./generate FIRST_SEED COUNT > answers.ndjson
//
// Left out, because the model leaves them out: volumes, resource claims, gangs, image locality,
// preemption.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand"
	"os"
	"reflect"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/apis/config"
	"k8s.io/kubernetes/pkg/scheduler/apis/config/latest"
	internalcache "k8s.io/kubernetes/pkg/scheduler/backend/cache"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins"
	frameworkruntime "k8s.io/kubernetes/pkg/scheduler/framework/runtime"
	"k8s.io/kubernetes/pkg/scheduler/metrics"
)

type M = map[string]any

var r *rand.Rand

func pick[T any](xs ...T) T { return xs[r.Intn(len(xs))] }
func chance(p int) bool     { return r.Intn(100) < p }

const zoneKey = "topology.kubernetes.io/zone"
const hostKey = "kubernetes.io/hostname"

func topo() string { return pick(zoneKey, zoneKey, hostKey, hostKey, "rack") }

func res(cpu, mem, gpu int64) v1.ResourceList {
	l := v1.ResourceList{}
	if cpu >= 0 {
		l[v1.ResourceCPU] = *resource.NewMilliQuantity(cpu, resource.DecimalSI)
	}
	if mem >= 0 {
		l[v1.ResourceMemory] = *resource.NewQuantity(mem, resource.BinarySI)
	}
	if gpu > 0 {
		l["nvidia.com/gpu"] = *resource.NewQuantity(gpu, resource.DecimalSI)
	}
	return l
}

func genNode(i int) *v1.Node {
	name := fmt.Sprintf("n%d", i)
	n := &v1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name), Labels: map[string]string{}}}
	if !chance(4) {
		n.Labels[hostKey] = name
	}
	if !chance(10) {
		n.Labels[zoneKey] = pick("a", "b", "c")
	}
	if chance(50) {
		n.Labels["rack"] = pick("r1", "r2")
	}
	if chance(50) {
		n.Labels["disk"] = pick("ssd", "hdd")
	}
	if chance(50) {
		n.Labels["gen"] = pick("1", "2", "10", "x")
	}
	for chance(25) {
		n.Spec.Taints = append(n.Spec.Taints, v1.Taint{Key: pick("t1", "t2", "t3"), Value: pick("", "v1", "v2"),
			Effect: pick(v1.TaintEffectNoSchedule, v1.TaintEffectNoExecute, v1.TaintEffectPreferNoSchedule, v1.TaintEffectPreferNoSchedule)})
	}
	n.Spec.Unschedulable = chance(6)
	n.Status.Allocatable = res(pick[int64](1000, 2000, 4000, 3920), pick[int64](2<<30, 8<<30, 6123456789), int64(pick(0, 0, 2)))
	n.Status.Allocatable[v1.ResourcePods] = *resource.NewQuantity(int64(pick(3, 8, 110)), resource.DecimalSI)
	return n
}

func genSelector() *metav1.LabelSelector {
	if chance(4) {
		return nil
	}
	if chance(5) {
		return &metav1.LabelSelector{}
	}
	s := &metav1.LabelSelector{}
	if chance(80) {
		s.MatchLabels = map[string]string{"app": pick("a", "b", "c")}
	} else {
		op := pick(metav1.LabelSelectorOpIn, metav1.LabelSelectorOpNotIn, metav1.LabelSelectorOpExists, metav1.LabelSelectorOpDoesNotExist)
		req := metav1.LabelSelectorRequirement{Key: pick("app", "tier"), Operator: op}
		if op == metav1.LabelSelectorOpIn || op == metav1.LabelSelectorOpNotIn {
			req.Values = pick([]string{"a"}, []string{"a", "b"}, []string{"front"})
		}
		s.MatchExpressions = append(s.MatchExpressions, req)
	}
	return s
}

func genTerm() v1.PodAffinityTerm {
	t := v1.PodAffinityTerm{LabelSelector: genSelector(), TopologyKey: topo()}
	if chance(20) {
		t.Namespaces = pick([]string{"other"}, []string{"default", "other"}, []string{"default"})
	}
	if chance(15) {
		t.NamespaceSelector = pick(&metav1.LabelSelector{}, &metav1.LabelSelector{MatchLabels: map[string]string{"team": pick("x", "y")}})
	}
	return t
}

var negative bool

func genNodeTerm() v1.NodeSelectorTerm {
	t := v1.NodeSelectorTerm{}
	for i := r.Intn(3); i > 0; i-- {
		op := pick(v1.NodeSelectorOpIn, v1.NodeSelectorOpNotIn, v1.NodeSelectorOpExists, v1.NodeSelectorOpDoesNotExist, v1.NodeSelectorOpGt, v1.NodeSelectorOpLt)
		req := v1.NodeSelectorRequirement{Key: pick("disk", "gen", "rack", zoneKey), Operator: op}
		switch op {
		case v1.NodeSelectorOpIn, v1.NodeSelectorOpNotIn:
			req.Values = pick([]string{"ssd"}, []string{"1", "2"}, []string{"a", "b"}, []string{"r1"})
		case v1.NodeSelectorOpGt, v1.NodeSelectorOpLt:
			req.Values = []string{pick("1", "5", "7")}
			if negative && chance(20) {
				req.Values = []string{"-3"}
			}
		}
		t.MatchExpressions = append(t.MatchExpressions, req)
	}
	if chance(15) {
		t.MatchFields = append(t.MatchFields, v1.NodeSelectorRequirement{Key: "metadata.name", Operator: pick(v1.NodeSelectorOpIn, v1.NodeSelectorOpNotIn), Values: []string{fmt.Sprintf("n%d", r.Intn(8))}})
	}
	return t
}

func genPod(i int, rich int) *v1.Pod {
	app := pick("a", "b", "c")
	p := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("p%d", i), Namespace: pick("default", "default", "default", "other"), UID: types.UID(fmt.Sprintf("p%d", i)), Labels: map[string]string{"app": app}}}
	if chance(30) {
		p.Labels["tier"] = pick("front", "back")
	}
	if chance(60) {
		yes := true
		p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "rs-" + app, UID: types.UID("rs-" + app), Controller: &yes}}
	}
	p.Spec.SchedulerName = "default-scheduler"
	for c := 1 + r.Intn(2); c > 0; c-- {
		k := v1.Container{Name: fmt.Sprintf("c%d", c)}
		k.Resources.Requests = res(pick[int64](-1, 0, 10, 100, 250, 333, 700), pick[int64](-1, 0, 1<<20, 128<<20, 777777777), int64(pick(0, 0, 0, 0, 0, 0, 0, 0, 1)))
		if chance(15) {
			k.Ports = append(k.Ports, v1.ContainerPort{HostPort: int32(pick(80, 81)), ContainerPort: 80, HostIP: pick("", "0.0.0.0", "10.0.0.1", "10.0.0.2"), Protocol: pick(v1.ProtocolTCP, v1.ProtocolTCP, v1.ProtocolUDP)})
		}
		p.Spec.Containers = append(p.Spec.Containers, k)
	}
	for chance(40) {
		t := v1.Toleration{Key: pick("t1", "t2", "t3", "node.kubernetes.io/unschedulable"), Operator: pick(v1.TolerationOpExists, v1.TolerationOpEqual), Effect: pick(v1.TaintEffectNoSchedule, v1.TaintEffectNoExecute, v1.TaintEffectPreferNoSchedule, "")}
		if t.Operator == v1.TolerationOpEqual {
			t.Value = pick("", "v1")
		} else if chance(20) {
			t.Key = ""
		}
		p.Spec.Tolerations = append(p.Spec.Tolerations, t)
	}
	aff := &v1.Affinity{}
	if chance(rich / 2) {
		p.Spec.NodeSelector = map[string]string{"disk": pick("ssd", "hdd")}
	}
	if chance(rich) {
		ns := &v1.NodeSelector{}
		for k := 1 + r.Intn(2); k > 0; k-- {
			negative = true
			ns.NodeSelectorTerms = append(ns.NodeSelectorTerms, genNodeTerm())
			negative = false
		}
		if chance(50) {
			aff.NodeAffinity = &v1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: ns}
		}
	}
	if chance(rich) {
		if aff.NodeAffinity == nil {
			aff.NodeAffinity = &v1.NodeAffinity{}
		}
		for k := 1 + r.Intn(2); k > 0; k-- {
			aff.NodeAffinity.PreferredDuringSchedulingIgnoredDuringExecution = append(aff.NodeAffinity.PreferredDuringSchedulingIgnoredDuringExecution, v1.PreferredSchedulingTerm{Weight: int32(1 + r.Intn(100)), Preference: genNodeTerm()})
		}
	}
	if chance(rich) {
		aff.PodAffinity = &v1.PodAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []v1.PodAffinityTerm{genTerm()}}
		if chance(20) {
			aff.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution = append(aff.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution, genTerm())
		}
	}
	if chance(rich) {
		aff.PodAntiAffinity = &v1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []v1.PodAffinityTerm{genTerm()}}
	}
	if chance(rich) {
		if aff.PodAffinity == nil {
			aff.PodAffinity = &v1.PodAffinity{}
		}
		aff.PodAffinity.PreferredDuringSchedulingIgnoredDuringExecution = []v1.WeightedPodAffinityTerm{{Weight: int32(1 + r.Intn(100)), PodAffinityTerm: genTerm()}}
	}
	if chance(rich) {
		if aff.PodAntiAffinity == nil {
			aff.PodAntiAffinity = &v1.PodAntiAffinity{}
		}
		aff.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution = []v1.WeightedPodAffinityTerm{{Weight: int32(1 + r.Intn(100)), PodAffinityTerm: genTerm()}}
	}
	p.Spec.Affinity = aff
	for chance(rich) {
		c := v1.TopologySpreadConstraint{MaxSkew: int32(1 + r.Intn(3)), TopologyKey: topo(), LabelSelector: genSelector(), WhenUnsatisfiable: pick(v1.DoNotSchedule, v1.ScheduleAnyway)}
		if c.WhenUnsatisfiable == v1.DoNotSchedule && chance(30) {
			m := int32(1 + r.Intn(4))
			c.MinDomains = &m
		}
		if chance(30) {
			x := pick(v1.NodeInclusionPolicyHonor, v1.NodeInclusionPolicyIgnore)
			c.NodeAffinityPolicy = &x
		}
		if chance(30) {
			x := pick(v1.NodeInclusionPolicyHonor, v1.NodeInclusionPolicyIgnore)
			c.NodeTaintsPolicy = &x
		}
		p.Spec.TopologySpreadConstraints = append(p.Spec.TopologySpreadConstraints, c)
	}
	return p
}

func labelsM(l map[string]string) M {
	m := M{}
	for k, v := range l {
		m[k] = v
	}
	return m
}
func strs(x []string) []string {
	if x == nil {
		return []string{}
	}
	return x
}
func selM(s *metav1.LabelSelector) any {
	if s == nil {
		return nil
	}
	ex := []M{}
	for _, e := range s.MatchExpressions {
		ex = append(ex, M{"key": e.Key, "operator": string(e.Operator), "values": strs(e.Values)})
	}
	return M{"labels": labelsM(s.MatchLabels), "expressions": ex}
}
func ntM(t v1.NodeSelectorTerm) M {
	f := func(rs []v1.NodeSelectorRequirement) []M {
		o := []M{}
		for _, e := range rs {
			o = append(o, M{"key": e.Key, "operator": string(e.Operator), "values": strs(e.Values)})
		}
		return o
	}
	return M{"labels": f(t.MatchExpressions), "fields": f(t.MatchFields)}
}
func ptM(t v1.PodAffinityTerm) M {
	return M{"selector": selM(t.LabelSelector), "namespaces": strs(t.Namespaces), "namespace_selector": selM(t.NamespaceSelector), "topology_key": t.TopologyKey}
}
func resM(l v1.ResourceList, pods int64) M {
	ext := M{}
	if g, ok := l["nvidia.com/gpu"]; ok {
		ext["nvidia.com/gpu"] = g.Value()
	}
	return M{"cpu": l.Cpu().MilliValue(), "memory": l.Memory().Value(), "ephemeral": 0, "pods": pods, "extended": ext}
}
func nodeM(n *v1.Node) M {
	ts := []M{}
	for _, t := range n.Spec.Taints {
		ts = append(ts, M{"key": t.Key, "value": t.Value, "effect": string(t.Effect)})
	}
	return M{"name": n.Name, "uid": n.Name, "labels": labelsM(n.Labels), "taints": ts, "unschedulable": n.Spec.Unschedulable, "allocatable": resM(n.Status.Allocatable, n.Status.Allocatable.Pods().Value()), "ready": true, "created_at": 0}
}
func podM(p *v1.Pod) M {
	total := v1.ResourceList{}
	cs := []M{}
	ports := []M{}
	for _, c := range p.Spec.Containers {
		m := M{"name": c.Name}
		for k, q := range c.Resources.Requests {
			t := total[k]
			t.Add(q)
			total[k] = t
			if k == v1.ResourceCPU {
				m["cpu_request"] = q.MilliValue()
			}
			if k == v1.ResourceMemory {
				m["memory_request"] = q.Value()
			}
		}
		cs = append(cs, m)
		for _, pt := range c.Ports {
			ip := pt.HostIP
			if ip == "" {
				ip = "0.0.0.0"
			}
			ports = append(ports, M{"ip": ip, "protocol": string(pt.Protocol), "port": pt.HostPort})
		}
	}
	tol := []M{}
	for _, t := range p.Spec.Tolerations {
		m := M{"key": t.Key, "exists": t.Operator == v1.TolerationOpExists, "value": t.Value}
		if t.Effect != "" {
			m["effect"] = string(t.Effect)
		}
		tol = append(tol, m)
	}
	spec := M{"requests": resM(total, 1), "containers": cs, "node_selector": labelsM(p.Spec.NodeSelector), "tolerations": tol, "host_ports": ports}
	a := p.Spec.Affinity
	np, pa, paa, pp, sp := []any{}, []M{}, []M{}, []any{}, []M{}
	if a.NodeAffinity != nil {
		if q := a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution; q != nil {
			ts := []M{}
			for _, t := range q.NodeSelectorTerms {
				ts = append(ts, ntM(t))
			}
			spec["node_affinity"] = ts
		}
		for _, t := range a.NodeAffinity.PreferredDuringSchedulingIgnoredDuringExecution {
			np = append(np, []any{t.Weight, ntM(t.Preference)})
		}
	}
	if a.PodAffinity != nil {
		for _, t := range a.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution {
			pa = append(pa, ptM(t))
		}
		for _, t := range a.PodAffinity.PreferredDuringSchedulingIgnoredDuringExecution {
			pp = append(pp, []any{t.Weight, ptM(t.PodAffinityTerm)})
		}
	}
	if a.PodAntiAffinity != nil {
		for _, t := range a.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution {
			paa = append(paa, ptM(t))
		}
		for _, t := range a.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution {
			pp = append(pp, []any{-t.Weight, ptM(t.PodAffinityTerm)})
		}
	}
	for _, c := range p.Spec.TopologySpreadConstraints {
		m := M{"max_skew": c.MaxSkew, "topology_key": c.TopologyKey, "hard": c.WhenUnsatisfiable == v1.DoNotSchedule, "selector": selM(c.LabelSelector), "honor_affinity": c.NodeAffinityPolicy == nil || *c.NodeAffinityPolicy == v1.NodeInclusionPolicyHonor, "honor_taints": c.NodeTaintsPolicy != nil && *c.NodeTaintsPolicy == v1.NodeInclusionPolicyHonor}
		if c.MinDomains != nil {
			m["min_domains"] = *c.MinDomains
		}
		sp = append(sp, m)
	}
	spec["node_preferences"], spec["pod_affinity"], spec["pod_anti_affinity"], spec["pod_preferences"], spec["spread"] = np, pa, paa, pp, sp
	for k, v := range spec {
		if reflect.ValueOf(v).Kind() != reflect.Bool && reflect.ValueOf(v).Len() == 0 {
			delete(spec, k)
		}
	}
	m := M{"key": M{"namespace": p.Namespace, "name": p.Name}, "uid": p.Name, "phase": "Running", "created_at": 0, "labels": labelsM(p.Labels), "spec": spec}
	if len(p.OwnerReferences) > 0 {
		m["owner"] = M{"kind": "ReplicaSet", "name": p.OwnerReferences[0].Name, "uid": p.OwnerReferences[0].Name}
	}
	if p.Spec.NodeName != "" {
		m["node"] = p.Spec.NodeName
	}
	if p.DeletionTimestamp != nil {
		m["deletion_at"] = 1
	}
	return m
}

func main() {
	from, _ := strconv.Atoi(os.Args[1])
	count, _ := strconv.Atoi(os.Args[2])
	metrics.Register()
	ctx := context.Background()
	cfg, err := latest.Default()
	if err != nil {
		panic(err)
	}
	profile := cfg.Profiles[0]
	keep := []config.Plugin{}
	for _, p := range profile.Plugins.MultiPoint.Enabled {
		switch p.Name {
		case "DynamicResources", "DefaultPreemption", "NodeDeclaredFeatures", "ImageLocality", "GangScheduling":
		default:
			keep = append(keep, p)
		}
	}
	profile.Plugins.MultiPoint.Enabled = keep
	client := kubernetes.NewForConfigOrDie(&rest.Config{Host: "127.0.0.1:1"})
	out := json.NewEncoder(os.Stdout)
	for seed := from; seed < from+count; seed++ {
		r = rand.New(rand.NewSource(int64(seed)))
		factory := informers.NewSharedInformerFactory(client, 0)
		namespaces := []M{}
		for _, n := range [][2]string{{"default", "x"}, {"other", "y"}} {
			factory.Core().V1().Namespaces().Informer().GetIndexer().Add(&v1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: n[0], Labels: map[string]string{"team": n[1]}}})
			namespaces = append(namespaces, M{"name": n[0], "labels": M{"team": n[1]}})
		}
		rss := []string{}
		for _, app := range []string{"a", "b", "c"} {
			if chance(70) {
				rss = append(rss, app)
				for _, ns := range []string{"default", "other"} {
					factory.Apps().V1().ReplicaSets().Informer().GetIndexer().Add(&appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Name: "rs-" + app, Namespace: ns}, Spec: appsv1.ReplicaSetSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}}}})
				}
			}
		}
		nodes := []*v1.Node{}
		most, crowd := 2+r.Intn(7), r.Intn(25)
		if seed%5 == 0 {
			most, crowd = 10+r.Intn(30), r.Intn(150)
		}
		for i := 0; i < most; i++ {
			nodes = append(nodes, genNode(i))
		}
		rich := pick(0, 10, 25, 40)
		pods := []*v1.Pod{}
		for i := 0; i < crowd; i++ {
			p := genPod(i, rich/3)
			p.Spec.NodeName = nodes[r.Intn(len(nodes))].Name
			if chance(8) {
				now := metav1.Now()
				p.DeletionTimestamp = &now
			}
			pods = append(pods, p)
		}
		snapshot := internalcache.NewSnapshot(pods, nodes)
		fw, err := frameworkruntime.NewFramework(ctx, plugins.NewInTreeRegistry(), &profile, frameworkruntime.WithInformerFactory(factory), frameworkruntime.WithClientSet(client), frameworkruntime.WithSnapshotSharedLister(snapshot))
		if err != nil {
			panic(err)
		}
		infos, _ := snapshot.NodeInfos().List()
		cases := []M{}
		for k := 0; k < 6; k++ {
			pod := genPod(1000+k, rich)
			state := framework.NewCycleState()
			feasible := []fwk.NodeInfo{}
			pre, status, _ := fw.RunPreFilterPlugins(ctx, state, pod)
			if status != nil && status.Code() == fwk.Error {
				panic(status.AsError())
			}
			if status.IsSuccess() {
				for _, info := range infos {
					if pre != nil && !pre.AllNodes() && !pre.NodeNames.Has(info.Node().Name) {
						continue
					}
					s := fw.RunFilterPlugins(ctx, state, pod, info)
					if s != nil && s.Code() == fwk.Error {
						panic(s.AsError())
					}
					if s.IsSuccess() {
						feasible = append(feasible, info)
					}
				}
			}
			scores := []M{}
			if len(feasible) > 0 {
				if s := fw.RunPreScorePlugins(ctx, state, pod, feasible); !s.IsSuccess() {
					panic(s.AsError())
				}
				all, s := fw.RunScorePlugins(ctx, state, pod, feasible)
				if !s.IsSuccess() {
					panic(s.AsError())
				}
				for _, n := range all {
					by := M{}
					for _, p := range n.Scores {
						by[p.Name] = p.Score
					}
					scores = append(scores, M{"node": n.Name, "total": n.TotalScore, "by": by})
				}
			}
			cases = append(cases, M{"pod": podM(pod), "scores": scores})
		}
		nm, pm := []M{}, []M{}
		for _, n := range nodes {
			nm = append(nm, nodeM(n))
		}
		for _, p := range pods {
			pm = append(pm, podM(p))
		}
		out.Encode(M{"seed": seed, "nodes": nm, "pods": pm, "namespaces": namespaces, "replica_sets": rss, "cases": cases})
	}
}

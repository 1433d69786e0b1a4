package main

import (
	"sync/atomic"

	"k8s.io/client-go/tools/cache"
)

// kube-router's controller reads the pods twice in a sync: once to find whom each policy selects, once to write the
// pods' chains. A pod that gets its address in between has a chain without policies, and everything is allowed to it
// until the next sync. Here both readings see the same pods: those of the moment when the sync lists the policies,
// which it does first and once.

// oneLook makes the two informers' indexers for the controller.
func oneLook(pods, policies cache.SharedIndexInformer) (cache.SharedIndexInformer, cache.SharedIndexInformer) {
	frozen := &frozenPods{Indexer: pods.GetIndexer()}
	frozen.look()
	return withIndexer{pods, frozen}, withIndexer{policies, &lookingPolicies{policies.GetIndexer(), frozen}}
}

type withIndexer struct {
	cache.SharedIndexInformer
	indexer cache.Indexer
}

func (w withIndexer) GetIndexer() cache.Indexer { return w.indexer }

// lookingPolicies looks at the pods before each listing: so policies are never older than the pods.
type lookingPolicies struct {
	cache.Indexer
	pods *frozenPods
}

func (p *lookingPolicies) List() []any {
	p.pods.look()
	return p.Indexer.List()
}

// frozenPods answers as its indexer did at the last look.
type frozenPods struct {
	cache.Indexer
	seen atomic.Pointer[cache.Indexer]
}

func (p *frozenPods) look() {
	copied := cache.NewIndexer(cache.MetaNamespaceKeyFunc,
		cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})
	_ = copied.Replace(p.Indexer.List(), "") // fails only for objects without a name
	p.seen.Store(&copied)
}

func (p *frozenPods) List() []any { return (*p.seen.Load()).List() }

func (p *frozenPods) Index(name string, object any) ([]any, error) {
	return (*p.seen.Load()).Index(name, object)
}

func (p *frozenPods) ByIndex(name, value string) ([]any, error) {
	return (*p.seen.Load()).ByIndex(name, value)
}

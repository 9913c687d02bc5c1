import math, random, statistics, sys
from collections import deque
from airflow_provider_datarecs.waits.forecast import History
from airflow_provider_datarecs.waits.schedule import Question, Schedule
PACE=0.75
def make(n, spread, rnd, seed=1):
    r=random.Random(seed); jobs=[]
    for i in range(n):
        if rnd:
            draw=lambda: math.exp(r.uniform(math.log(300),math.log(14400)))
        else:
            u=math.exp(r.uniform(math.log(300),math.log(14400)))
            draw=lambda u=u: u*r.uniform(1-spread,1+spread)
        jobs.append((draw(), [draw() for _ in range(20)]))
    return jobs
def stats(d):
    d=sorted(d); return tuple(round(x,1) for x in (statistics.median(d), d[int(.95*len(d))], d[-1]))
def rr(jobs):
    q=deque(range(len(jobs))); t=0; out=[]
    while q:
        j=q.popleft(); t+=PACE
        if t>=jobs[j][0]: out.append(t-jobs[j][0])
        else: q.append(j)
    return out
def ours(jobs, cold, seed=1):
    random.seed(seed)
    s=Schedule(); of={}
    for d,h in jobs:
        H=History()
        q=Question(0.0); of[q]=(d,h,H)
        if not cold:
            for i,x in enumerate(h): H.learn(str(i),ended=i,seconds=x)
            q.new=False; q.expect([H.spans(0.0,0.0)],0.0)
        s.questions.add(q)
    t=0; out=[]
    while s.questions:
        t+=PACE
        q,_=s.next(t,len(s.questions)*PACE)
        d,h,H=of[q]
        if t>=d: out.append(t-d); s.questions.discard(q); continue
        if q.new:
            q.new=False
            for i,x in enumerate(h): H.learn(str(i),ended=i,seconds=x)
        q.expect([H.spans(0.0,t)],t)
    return out
if __name__=="__main__":
    for rnd in (False,True):
        jobs=make(1000,.1,rnd)
        print("random" if rnd else "usual", "rr",stats(rr(jobs)))
        for cold in (False,True):
            print("cold" if cold else "warm",stats(ours(jobs,cold)), flush=True)

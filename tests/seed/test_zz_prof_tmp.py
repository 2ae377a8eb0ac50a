import time, os
from satupeta_server.database import synchronous, database
from satupeta_server.seed.reference import seed_reference
import satupeta_server.seed.sample.load as L
def test_p(settings, migrated_database, store):
    with synchronous():
        seed_reference(); L.load_sample(settings,store)
        print()
        for k,v in database.execute_sql("select name,setting from pg_settings where name in ('shared_buffers','fsync','synchronous_commit','max_wal_size','wal_level','wal_compression')").fetchall(): print(k,v)
        pid=database.execute_sql('select pg_backend_pid()').fetchone()[0]
        import psutil
        b=psutil.Process(pid)
        me=psutil.Process()
        c0=b.cpu_times(); m0=me.cpu_times(); t=time.time()
        import cProfile,pstats; pr=cProfile.Profile(); pr.enable() if os.environ.get("PROF") else None; L.load_sample(settings,store,count=20500); pr.disable(); os.environ.get("PROF") and pstats.Stats(pr).sort_stats("tottime").print_stats(28)
        d=time.time()-t
        c=b.cpu_times(); m=me.cpu_times()
        print('wall',d,'backend',c.user-c0.user,c.system-c0.system,'me',m.user-m0.user,m.system-m0.system)

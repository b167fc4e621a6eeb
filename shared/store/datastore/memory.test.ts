import { datastoreContract } from './contract.ts';
import { createMemoryDatastore } from './memory.ts';

datastoreContract('memory', async () => {
  const store = createMemoryDatastore();
  return { store, other: store };
});

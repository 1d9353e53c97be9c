// Where the nodes of a graph go: in columns by depth, each ordered by where its predecessors are. Linear,
// for graphs that are too large for a proper layout.

export interface Node { id: string; before: readonly string[] }
export interface Point { x: number; y: number }
export interface Edge { from: string; to: string; points: Point[] }
export interface Layout { width: number; height: number; at: Map<string, Point>; edges: Edge[] }
export interface Size { width: number; height: number; gapX: number; gapY: number }

/** The longest way to each node, by edges; what is on a circle stays at 0. */
export function depths(nodes: readonly Node[]): Map<string, number> {
  const depth = new Map(nodes.map((node) => [node.id, 0]));
  const after = new Map<string, string[]>();
  const nOpen = new Map<string, number>();
  for (const node of nodes) {
    const before = node.before.filter((id) => depth.has(id));
    nOpen.set(node.id, before.length);
    for (const id of before) {
      const list = after.get(id);
      if (list === undefined) after.set(id, [node.id]);
      else list.push(node.id);
    }
  }
  const ready = nodes.filter((node) => nOpen.get(node.id) === 0).map((node) => node.id);
  for (const id of ready) {
    for (const next of after.get(id) ?? []) {
      depth.set(next, Math.max(depth.get(next) ?? 0, (depth.get(id) ?? 0) + 1));
      const left = (nOpen.get(next) ?? 0) - 1;
      nOpen.set(next, left);
      if (left === 0) ready.push(next);
    }
  }
  return depth;
}

export function columns(nodes: readonly Node[], size: Size): Layout {
  const depth = depths(nodes);
  const inColumns: Node[][] = [];
  for (const node of nodes) (inColumns[depth.get(node.id) ?? 0] ??= []).push(node);
  const place = new Map<string, number>();
  for (const column of inColumns) {
    const wanted = new Map(column.map((node, index) => [node.id, middle(node, place) ?? index]));
    column.sort((a, b) => (wanted.get(a.id) ?? 0) - (wanted.get(b.id) ?? 0));
    column.forEach((node, index) => place.set(node.id, index / column.length));
  }
  const tallest = Math.max(1, ...inColumns.map((column) => column.length));
  const height = tallest * (size.height + size.gapY);
  const at = new Map<string, Point>();
  inColumns.forEach((column, x) => {
    column.forEach((node, y) => {
      at.set(node.id, {
        x: size.width / 2 + x * (size.width + size.gapX),
        y: ((y + 0.5) * height) / column.length,
      });
    });
  });
  const width = inColumns.length * (size.width + size.gapX) - size.gapX;
  return { width, height, at, edges: straightEdges(nodes, at, size) };
}

function middle(node: Node, place: ReadonlyMap<string, number>): number | undefined {
  const before = node.before.flatMap((id) => place.get(id) ?? []);
  return before.length === 0 ? undefined : before.reduce((sum, it) => sum + it, 0) / before.length;
}

function straightEdges(nodes: readonly Node[], at: ReadonlyMap<string, Point>, size: Size): Edge[] {
  const edges: Edge[] = [];
  for (const node of nodes) {
    for (const id of node.before) {
      const [from, to] = [at.get(id), at.get(node.id)];
      if (from === undefined || to === undefined) continue;
      const points = [{ x: from.x + size.width / 2, y: from.y }, { x: to.x - size.width / 2, y: to.y }];
      edges.push({ from: id, to: node.id, points });
    }
  }
  return edges;
}

/** A curve that leaves and arrives level. */
export function curve(points: readonly Point[]): string {
  const n = (value: number) => value.toFixed(1);
  let path = `M${n(points[0].x)} ${n(points[0].y)}`;
  for (let i = 1; i < points.length; i++) {
    const [from, to] = [points[i - 1], points[i]];
    const half = (from.x + to.x) / 2;
    path += `C${n(half)} ${n(from.y)} ${n(half)} ${n(to.y)} ${n(to.x)} ${n(to.y)}`;
  }
  return path;
}

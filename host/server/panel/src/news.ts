// The news of this page's life, kept whichever view is open; and what the host remembers from before.

import { signal } from "@preact/signals";
import { getIfThere } from "./api";
import { NEWS_MAX, mergeNews } from "./core/news";
import type { Page, PublicEvent } from "./core/wire";
import { epoch, followChanges } from "./live";

export const news = signal<PublicEvent[]>([]);
export const newsProblem = signal("");

/** What came in since the last snapshot; what was before it is asked for. */
let fresh: PublicEvent[] = [];

export function followNews(): void {
  followChanges((changes) => {
    if (changes.replaced) {
      fresh = mergeNews([], changes.news);
      void askNews();
    } else if (changes.news.length > 0) {
      fresh = mergeNews(fresh, changes.news);
      news.value = mergeNews(news.value, changes.news);
    }
  });
}

export async function askNews(): Promise<void> {
  const current = epoch.value;
  try {
    const page = await getIfThere<Page<PublicEvent>>(`/v1/activity?limit=${NEWS_MAX}`);
    if (epoch.value !== current) return;
    newsProblem.value = "";
    news.value = mergeNews(page?.items ?? [], fresh);
  } catch (error) {
    newsProblem.value = (error as Error).message;
  }
}
